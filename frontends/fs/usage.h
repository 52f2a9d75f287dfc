// SPDX-License-Identifier: Apache-2.0
#pragma once

// How many bytes of files lie below the root of a Filesystem, for accounts that may have only so
// many. One for each root of the process; the Views of those accounts ask before they make a file
// longer and tell what they removed. What others change (a mount, another machine) is found by
// counting again now and then.
//
// Errs on the side of more: what was reserved for a write that failed is given back by the next
// count. I/O thread only.

#include <memory>
#include <unordered_map>

#include "frontends/fs/filesystem.h"

namespace lafs::fs {

class Usage {
 public:
  struct Options {
    Duration count_again = std::chrono::minutes(10);
    // Who wants to write waits so long for the first count; a larger tree is counted meanwhile.
    Duration patience = std::chrono::seconds(10);
  };

  Usage(asio::any_io_executor executor, std::shared_ptr<Filesystem> files, Options options);

  // Call before the others: counts when that is due, and waits for the first count.
  Task<> known();
  std::uint64_t bytes() const { return bytes_; }

  // Whether `more` bytes may be added below `limit`: too_large.
  Result<> may_add(std::uint64_t more, std::uint64_t limit) const;
  // A file changes its size. Counted at once when it may; a limit matters only to what grows.
  Result<> resize(NodeId node, std::uint64_t from, std::uint64_t to, std::uint64_t limit);
  // A file has lost its name.
  void removed(NodeId node, std::uint64_t size);
  // What was to change could not be: the figure is not right any more.
  void outdated() { count_at_ = TimePoint::min(); }

  // The files that are open for writing: their sizes as they will be after all that is under way.
  void opened(NodeId node, std::uint64_t size);
  void closed(NodeId node);
  std::optional<std::uint64_t> open_size(NodeId node) const;

  // Ends a count that runs. Before the Filesystem is closed.
  Task<> close();

 private:
  struct Writing {
    std::uint64_t size = 0;
    unsigned handles = 0;
  };

  Task<> count();
  Task<Result<std::uint64_t>> bytes_below_root();

  std::shared_ptr<Filesystem> files_;
  Options options_;
  std::uint64_t bytes_ = 0;
  std::uint64_t grown_ = 0, shrunk_ = 0;                // since the count that runs began
  std::unordered_map<std::uint64_t, Writing> writing_;  // by node
  bool counting_ = false, counted_ = false, closing_ = false;
  TimePoint began_{};
  TimePoint count_at_ = TimePoint::min();
  Signal first_count_;
  TaskGroup tasks_;
};

}  // namespace lafs::fs
