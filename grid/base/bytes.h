// SPDX-License-Identifier: Apache-2.0
#pragma once

// Byte strings, views of them, and big-endian integers.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lafs {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteView view) { return Bytes(view.begin(), view.end()); }
inline Bytes to_bytes(std::string_view text) { return to_bytes(as_bytes(text)); }
inline std::string to_text(ByteView view) { return std::string(as_text(view)); }

inline void append(Bytes& to, ByteView more) { to.insert(to.end(), more.begin(), more.end()); }

inline bool equal(ByteView a, ByteView b) { return std::ranges::equal(a, b); }

// Big-endian unsigned integers of 1..8 bytes. `get` requires at least sizeof(T) bytes.
template <class T>
T get_be(const std::uint8_t* p) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((value << 8) | p[i]);
  return value;
}
template <class T>
void put_be(std::uint8_t* p, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    p[i] = static_cast<std::uint8_t>(value >> (8 * (sizeof(T) - 1 - i)));
}
template <class T>
void append_be(Bytes& to, T value) {
  std::uint8_t raw[sizeof(T)];
  put_be<T>(raw, value);
  append(to, raw);
}

// `offset`..`offset+length` of `all`, or nothing when that is not wholly inside. Safe against
// overflow whatever the numbers: they usually come from a server.
inline std::optional<ByteView> slice(ByteView all, std::uint64_t offset, std::uint64_t length) {
  if (offset > all.size() || length > all.size() - offset) return std::nullopt;
  return all.subspan(offset, length);
}

// Lower-case hexadecimal; decoding refuses anything else than pairs of hex digits.
std::string to_hex(ByteView bytes);
std::optional<Bytes> from_hex(std::string_view text);

inline std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0); }
inline std::uint64_t round_up(std::uint64_t a, std::uint64_t multiple) {
  return ceil_div(a, multiple) * multiple;
}

}  // namespace lafs
