// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where shares live: 16 bytes that servers know, derived one-way from the key (spec/immutable 2.2);
// and the numbers of shares and segments.

#include <compare>
#include <functional>

#include "grid/base/base32.h"

namespace lafs::grid {

struct StorageIndex {
  std::array<std::uint8_t, 16> bytes{};

  static std::optional<StorageIndex> from_text(std::string_view text) {
    auto raw = array_from_base32<16>(text);
    if (!raw) return std::nullopt;
    return StorageIndex{*raw};
  }
  std::string text() const { return base32(bytes); }  // 26 characters
  auto operator<=>(const StorageIndex&) const = default;
};

// Indices of different kinds do not mix.
template <class Tag>
struct Index {
  std::uint64_t value = 0;
  auto operator<=>(const Index&) const = default;
};
using ShareNo = Index<struct ShareNoTag>;      // 0..255
using SegmentNo = Index<struct SegmentNoTag>;  // 0..

}  // namespace lafs::grid

template <>
struct std::hash<lafs::grid::StorageIndex> {
  std::size_t operator()(const lafs::grid::StorageIndex& si) const noexcept {
    std::size_t h;
    std::memcpy(&h, si.bytes.data(), sizeof h);
    return h;
  }
};
