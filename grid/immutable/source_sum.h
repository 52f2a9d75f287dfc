// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a source held when it was read first, segment by segment, so that a second pass notices when
// it has changed: shares of other contents under the key of the first ones could never be read. A
// 64-bit CRC for each segment: it is against accidents, and costs a twentieth of a hash.

#include <vector>

#include "grid/base/bytes.h"
#include "grid/immutable/geometry.h"

namespace lafs::grid {

class SourceSum {
 public:
  explicit SourceSum(std::uint64_t segment_size) : segment_size_(segment_size) {}

  // What comes next in the first pass, in pieces of any size.
  void add(ByteView data);
  // Whether `segment` holds what it held then.
  bool matches(SegmentNo number, ByteView segment) const;

 private:
  std::uint64_t segment_size_;
  std::uint64_t at_ = 0;
  std::vector<std::uint64_t> sums_;
};

}  // namespace lafs::grid
