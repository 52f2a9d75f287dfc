// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/span_store.h"

namespace lafs::grid {

void SpanStore::add(ByteRange range, Bytes answer) {
  if (answer.size() > range.size()) answer.resize(range.size());
  if (answer.size() < range.size()) {
    const auto end = range.begin + answer.size();
    end_ = end_ ? std::min(*end_, end) : end;
  }
  const ByteRange got{range.begin, range.begin + answer.size()};
  for (auto fresh : present_.missing(got)) {
    const auto part = ByteView(answer).subspan(fresh.begin - got.begin, fresh.size());
    spans_[fresh.begin] = fresh == got ? std::move(answer) : to_bytes(part);
    bytes_ += fresh.size();
    present_.add(fresh);
    if (fresh == got) return;
  }
}

Bytes SpanStore::prefix(ByteRange range) const {
  Bytes out;
  auto it = spans_.upper_bound(range.begin);
  if (it != spans_.begin()) --it;
  for (auto at = range.begin; it != spans_.end() && at < range.end; ++it) {
    const auto end = it->first + it->second.size();
    if (end <= at) continue;
    if (it->first > at) break;
    const auto take = std::min(end, range.end) - at;
    append(out, ByteView(it->second).subspan(at - it->first, take));
    at += take;
  }
  return out;
}

std::optional<Bytes> SpanStore::get(ByteRange range) const {
  if (!present_.contains(range)) return std::nullopt;
  return prefix(range);
}

std::optional<Bytes> SpanStore::take(ByteRange range) {
  std::optional<Bytes> out;
  auto it = spans_.find(range.begin);
  if (it != spans_.end() && it->second.size() == range.size()) {
    bytes_ -= range.size();
    out = std::move(it->second);
    spans_.erase(it);
    present_.remove(range);
  } else {
    out = get(range);
    if (out) drop(range);
  }
  return out;
}

std::vector<ByteRange> SpanStore::missing(ByteRange range) const {
  if (end_) range.end = std::min(range.end, *end_);
  if (range.empty()) return {};
  return present_.missing(range);
}

void SpanStore::drop(ByteRange range) {
  // Whole spans only: what is dropped is what one read brought.
  for (auto it = spans_.lower_bound(range.begin); it != spans_.end() && it->first < range.end;) {
    const ByteRange span{it->first, it->first + it->second.size()};
    if (span.end > range.end) break;
    present_.remove(span);
    bytes_ -= span.size();
    it = spans_.erase(it);
  }
}

std::vector<ByteRange> joined(std::vector<ByteRange> ranges, std::uint64_t gap) {
  std::erase_if(ranges, [](const ByteRange& r) { return r.empty(); });
  std::ranges::sort(ranges, {}, &ByteRange::begin);
  std::vector<ByteRange> out;
  for (auto& r : ranges) {
    if (!out.empty() && (r.begin <= out.back().end || r.begin - out.back().end < gap)) {
      out.back().end = std::max(out.back().end, r.end);
    } else {
      out.push_back(r);
    }
  }
  return out;
}

}  // namespace lafs::grid
