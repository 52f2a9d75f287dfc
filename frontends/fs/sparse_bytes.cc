// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/sparse_bytes.h"

namespace lafs::fs {

std::uint64_t SparseBytes::growth(std::uint64_t offset, std::uint64_t length) const {
  std::uint64_t sum = 0;
  for (const std::uint64_t end = offset + length; offset < end;) {
    const std::uint64_t chunk = offset / chunk_size;
    const std::uint64_t stop = std::min(end, (chunk + 1) * chunk_size);
    const auto it = chunks_.find(chunk);
    const std::uint64_t there = it == chunks_.end() ? 0 : it->second.size();
    const std::uint64_t wanted = stop - chunk * chunk_size;
    sum += wanted - std::min(wanted, there);
    offset = stop;
  }
  return sum;
}

Bytes SparseBytes::read(std::uint64_t offset, std::uint64_t length) const {
  if (offset >= size_) return {};
  Bytes out(std::min(length, size_ - offset));
  const std::uint64_t end = offset + out.size();
  for (auto it = chunks_.lower_bound(offset / chunk_size); it != chunks_.end(); ++it) {
    const std::uint64_t base = it->first * chunk_size;
    if (base >= end) break;
    const std::uint64_t from = std::max(base, offset);
    const std::uint64_t to = std::min(base + it->second.size(), end);
    if (from < to) std::memcpy(&out[from - offset], &it->second[from - base], to - from);
  }
  return out;
}

void SparseBytes::write(std::uint64_t offset, ByteView data) {
  while (!data.empty()) {
    const std::uint64_t at = offset % chunk_size;
    const auto part = data.first(std::min<std::uint64_t>(data.size(), chunk_size - at));
    auto& chunk = chunks_[offset / chunk_size];
    if (chunk.size() < at + part.size()) {
      stored_ += at + part.size() - chunk.size();
      chunk.resize(at + part.size());
    }
    std::memcpy(&chunk[at], part.data(), part.size());
    offset += part.size();
    data = data.subspan(part.size());
    size_ = std::max(size_, offset);
  }
}

void SparseBytes::resize(std::uint64_t size) {
  size_ = size;
  const auto first_gone = chunks_.lower_bound(ceil_div(size, chunk_size));
  for (auto it = first_gone; it != chunks_.end(); ++it) stored_ -= it->second.size();
  chunks_.erase(first_gone, chunks_.end());
  if (const auto last = chunks_.find(size / chunk_size);
      last != chunks_.end() && last->second.size() > size % chunk_size) {
    stored_ -= last->second.size() - size % chunk_size;
    last->second.resize(size % chunk_size);
  }
}

void SparseBytes::zero(std::uint64_t begin, std::uint64_t end) {
  for (auto it = chunks_.lower_bound(begin / chunk_size); it != chunks_.end();) {
    const std::uint64_t base = it->first * chunk_size;
    auto& chunk = it->second;
    if (base >= end) break;
    const std::uint64_t from = std::max(base, begin) - base;
    const std::uint64_t to = std::min(base + chunk.size(), end) - base;
    if (from == 0 && to == chunk.size()) {
      stored_ -= chunk.size();
      it = chunks_.erase(it);
      continue;
    }
    if (from < to) std::memset(&chunk[from], 0, to - from);
    ++it;
  }
}

std::optional<std::uint64_t> SparseBytes::next_data(std::uint64_t offset) const {
  if (offset >= size_) return {};
  for (auto it = chunks_.lower_bound(offset / chunk_size); it != chunks_.end(); ++it) {
    const std::uint64_t base = it->first * chunk_size;
    if (offset < base + it->second.size()) return std::max(offset, base);
  }
  return {};
}

std::optional<std::uint64_t> SparseBytes::next_hole(std::uint64_t offset) const {
  if (offset >= size_) return {};
  for (auto it = chunks_.find(offset / chunk_size); it != chunks_.end(); ++it) {
    const std::uint64_t base = it->first * chunk_size;
    if (offset < base || offset >= base + it->second.size()) break;
    offset = base + it->second.size();
    if (it->second.size() < chunk_size) break;
  }
  return std::min(offset, size_);
}

}  // namespace lafs::fs
