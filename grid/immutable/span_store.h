// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bytes of one share that have arrived so far, from reads in any order. Nothing here is checked
// yet: it is what a server said.

#include <map>
#include <optional>

#include "grid/base/bytes.h"
#include "grid/base/ranges.h"

namespace lafs::grid {

class SpanStore {
 public:
  // The answer to a read of `range`: shorter when the share ends there, never longer.
  void add(ByteRange range, Bytes answer);
  // Nothing unless every byte of it has arrived.
  std::optional<Bytes> get(ByteRange range) const;
  // The same, and forgets it: without a copy where one answer brought just this range.
  std::optional<Bytes> take(ByteRange range);
  // From range.begin as far as bytes are there without a gap.
  Bytes prefix(ByteRange range) const;
  // What is neither there nor known to be past the end.
  std::vector<ByteRange> missing(ByteRange range) const;
  // True when the share is known to end before the end of `range`.
  bool past_end(ByteRange range) const { return end_ && range.end > *end_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void drop(ByteRange range);

  std::map<std::uint64_t, Bytes> spans_;  // by offset; disjoint
  RangeSet present_;
  std::optional<std::uint64_t> end_;
  std::uint64_t bytes_ = 0;
};

// Sorted, with those joined that overlap or have less than `gap` bytes between them.
std::vector<ByteRange> joined(std::vector<ByteRange> ranges, std::uint64_t gap);

}  // namespace lafs::grid
