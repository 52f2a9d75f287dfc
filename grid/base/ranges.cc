// SPDX-License-Identifier: Apache-2.0
#include "grid/base/ranges.h"

#include <algorithm>
#include <iterator>

namespace lafs {

void RangeSet::add(ByteRange r) {
  if (r.empty()) return;
  auto it = ranges_.upper_bound(r.begin);
  if (it != ranges_.begin() && std::prev(it)->second >= r.begin) --it;
  while (it != ranges_.end() && it->first <= r.end) {
    r.begin = std::min(r.begin, it->first);
    r.end = std::max(r.end, it->second);
    it = ranges_.erase(it);
  }
  ranges_.emplace(r.begin, r.end);
}

void RangeSet::remove(ByteRange r) {
  if (r.empty()) return;
  auto it = ranges_.upper_bound(r.begin);
  if (it != ranges_.begin() && std::prev(it)->second > r.begin) --it;
  while (it != ranges_.end() && it->first < r.end) {
    const ByteRange old{it->first, it->second};
    it = ranges_.erase(it);
    if (old.begin < r.begin) ranges_.emplace(old.begin, r.begin);
    if (old.end > r.end) ranges_.emplace(r.end, old.end);
  }
}

std::vector<ByteRange> RangeSet::present(ByteRange r) const {
  std::vector<ByteRange> out;
  auto it = ranges_.upper_bound(r.begin);
  if (it != ranges_.begin()) --it;
  for (; it != ranges_.end() && it->first < r.end; ++it) {
    const ByteRange both{std::max(r.begin, it->first), std::min(r.end, it->second)};
    if (!both.empty()) out.push_back(both);
  }
  return out;
}

std::vector<ByteRange> RangeSet::missing(ByteRange r) const {
  std::vector<ByteRange> out;
  auto from = r.begin;
  for (const auto& there : present(r)) {
    if (from < there.begin) out.push_back({from, there.begin});
    from = there.end;
  }
  if (from < r.end) out.push_back({from, r.end});
  return out;
}

bool RangeSet::contains(ByteRange r) const { return missing(r).empty(); }
bool RangeSet::overlaps(ByteRange r) const { return !present(r).empty(); }

std::vector<ByteRange> RangeSet::ranges() const {
  std::vector<ByteRange> out;
  for (auto [begin, end] : ranges_) out.push_back({begin, end});
  return out;
}

std::uint64_t RangeSet::total() const {
  std::uint64_t sum = 0;
  for (auto [begin, end] : ranges_) sum += end - begin;
  return sum;
}

}  // namespace lafs
