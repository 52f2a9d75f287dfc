// SPDX-License-Identifier: Apache-2.0
#pragma once

// A set of byte offsets, kept as sorted, disjoint, non-touching half-open ranges.

#include <cstdint>
#include <map>
#include <vector>

namespace lafs {

struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // one past the last byte

  std::uint64_t size() const { return end - begin; }
  bool empty() const { return end <= begin; }
  bool operator==(const ByteRange&) const = default;
};

class RangeSet {
 public:
  void add(ByteRange r);
  void remove(ByteRange r);
  bool contains(ByteRange r) const;  // every byte of it; true for an empty range
  bool overlaps(ByteRange r) const;  // at least one byte of it
  // What of `r` is in the set, and what is not, in order.
  std::vector<ByteRange> present(ByteRange r) const;
  std::vector<ByteRange> missing(ByteRange r) const;
  std::vector<ByteRange> ranges() const;
  std::uint64_t total() const;
  bool empty() const { return ranges_.empty(); }
  void clear() { ranges_.clear(); }
  bool operator==(const RangeSet&) const = default;

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // begin -> end
};

}  // namespace lafs
