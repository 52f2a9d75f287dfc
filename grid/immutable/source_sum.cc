// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/source_sum.h"

#include <isa-l/crc64.h>

namespace lafs::grid {

void SourceSum::add(ByteView data) {
  while (!data.empty()) {
    const auto within = at_ % segment_size_;
    if (within == 0) sums_.push_back(0);
    const auto part = data.first(std::min<std::uint64_t>(data.size(), segment_size_ - within));
    sums_.back() = crc64_ecma_refl(sums_.back(), part.data(), part.size());
    at_ += part.size();
    data = data.subspan(part.size());
  }
}

bool SourceSum::matches(SegmentNo number, ByteView segment) const {
  return number.value < sums_.size() &&
         sums_[number.value] == crc64_ecma_refl(0, segment.data(), segment.size());
}

}  // namespace lafs::grid
