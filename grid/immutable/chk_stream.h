// SPDX-License-Identifier: Apache-2.0
#pragma once

// A stretch of an immutable file's plaintext from its beginning to its end, with as many segments
// on their way as fill the line: for whoever wants all of it once, in order. They set out one after
// the other: those that set out together share the line, arrive together, and leave it idle until
// the next ones are there. Owned by the reader; close() before it goes away.

#include <deque>

#include "grid/immutable/immutable_file.h"
#include "grid/immutable/send_pace.h"

namespace lafs::grid {

class ChkStream {
 public:
  // The file outlives this, and is the caller's to close afterwards. The range is cut at its end.
  ChkStream(asio::any_io_executor executor, std::shared_ptr<ImmutableFile> file, const Key16& key,
            Pool& pool, std::uint64_t offset = 0, std::uint64_t length = UINT64_MAX);

  // What comes next, up to a segment; empty at the end.
  Task<Result<Bytes>> next();
  Task<> close();

 private:
  struct Flight {
    SegmentNo number;
    std::optional<Result<Bytes>> plaintext;
  };

  Task<> keep_full(Geometry g);
  bool room(const Geometry& g) const;
  Task<> fly(std::shared_ptr<Flight> flight, Geometry g);

  std::shared_ptr<ImmutableFile> file_;
  Key16 key_;
  Pool& pool_;
  std::uint64_t at_;  // of what next() gives
  std::uint64_t end_;
  SegmentNo first_{};        // to be read
  std::uint64_t ahead_ = 0;  // the first segment that is not under way
  SendWindow window_;
  std::size_t under_way_ = 0;  // of flights_, those that have not landed
  bool started_ = false;
  std::deque<std::shared_ptr<Flight>> flights_;
  Signal changed_;  // a flight has landed, or was taken
  TaskGroup tasks_;
};

}  // namespace lafs::grid
