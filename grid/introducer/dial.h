// SPDX-License-Identifier: Apache-2.0
#pragma once

// TCP connections to all places that a FURL names at once, handed out as they come about: which of
// them can be reached depends on where we are, and only negotiating says whether the right one
// answers. Tahoe's rules allow one negotiation with a peer at a time, hence one by one. I/O thread
// only; close() before destruction. For connection_begin.cc: it includes Beast.

#include <deque>
#include <string>
#include <vector>

#include "grid/storage/http_stream.h"
#include "grid/storage/nurl.h"

namespace lafs::grid::introducer {

class Dial {
 public:
  struct Reached {
    std::string host;
    storage::beast::tcp_stream tcp;
  };

  // Hints of other kinds than TCP are left out.
  Dial(asio::any_io_executor executor, const std::vector<std::string>& hints);

  // The next place that could be reached; why not, when there are no more.
  Task<Result<Reached>> next(TimePoint deadline);
  // Whether next() may still have one.
  bool more() const { return !ready_.empty() || tasks_.running() > 0; }
  Task<> close();

 private:
  Task<> reach(storage::Location location);

  asio::any_io_executor executor_;
  std::deque<Reached> ready_;
  Error why_;
  TaskGroup tasks_;
};

}  // namespace lafs::grid::introducer
