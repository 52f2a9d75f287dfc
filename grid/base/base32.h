// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tahoe's base32: RFC 4648 alphabet in lower case, no padding (spec/immutable 1.1).

#include <optional>
#include <string>
#include <string_view>

#include "grid/base/bytes.h"

namespace lafs {

std::string base32(ByteView bytes);

// Strict: refuses other characters, impossible lengths, and a last character whose unused bits are
// not zero. What caps, storage indexes and everything new use.
std::optional<Bytes> from_base32(std::string_view text);

// As Tahoe's generic decoder: the lowest unused bit of the last character may be set and is
// dropped. For secrets files, permutation seeds and tub ids.
std::optional<Bytes> from_base32_lax(std::string_view text);

// A strict decode to exactly N bytes.
template <std::size_t N>
std::optional<std::array<std::uint8_t, N>> array_from_base32(std::string_view text) {
  if (text.size() != (N * 8 + 4) / 5) return std::nullopt;
  auto bytes = from_base32(text);
  if (!bytes || bytes->size() != N) return std::nullopt;
  std::array<std::uint8_t, N> out;
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

// RFC 4648 base64: the standard alphabet with padding, and the URL alphabet without.
std::string base64(ByteView bytes);
std::optional<Bytes> from_base64(std::string_view text);
std::string base64url(ByteView bytes);
std::optional<Bytes> from_base64url(std::string_view text);

}  // namespace lafs
