// SPDX-License-Identifier: Apache-2.0
#include "grid/base/base32.h"

namespace lafs {

namespace {

constexpr std::string_view base32_alphabet = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view base64_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base64url_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Bits are taken most significant first; the last group is filled with zero bits on the right.
std::string encode_bits(ByteView bytes, unsigned width, std::string_view alphabet) {
  std::string out((bytes.size() * 8 + width - 1) / width, '\0');
  char* to = out.data();
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (auto b : bytes) {
    held = held << 8 | b;
    bits += 8;
    while (bits >= width) {
      bits -= width;
      *to++ = alphabet[held >> bits & ((1u << width) - 1)];
    }
  }
  if (bits) *to = alphabet[held << (width - bits) & ((1u << width) - 1)];
  return out;
}

// `ignored_bits`: how many of the highest unused bits of the last character may be set.
constexpr std::uint8_t no_value = 255;
using Values = std::array<std::uint8_t, 256>;  // character -> its value
constexpr Values values_of(std::string_view alphabet) {
  Values out;
  out.fill(no_value);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    out[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return out;
}
constexpr Values base32_values = values_of(base32_alphabet);
constexpr Values base64_values = values_of(base64_alphabet);
constexpr Values base64url_values = values_of(base64url_alphabet);

std::optional<Bytes> decode_bits(std::string_view text, unsigned width, const Values& values,
                                 unsigned ignored_bits) {
  const unsigned spare = text.size() * width % 8;  // unused low bits of the last character
  if (spare >= width) return std::nullopt;         // a length that no byte string has
  Bytes out;
  out.reserve(text.size() * width / 8);
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (char c : text) {
    const auto value = values[static_cast<std::uint8_t>(c)];
    if (value == no_value) return std::nullopt;
    held = held << width | value;
    bits += width;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<std::uint8_t>(held >> bits));
    }
  }
  const unsigned must_be_zero = spare > ignored_bits ? spare - ignored_bits : 0;
  if (held & ((1u << must_be_zero) - 1)) return std::nullopt;
  return out;
}

}  // namespace

std::string base32(ByteView bytes) { return encode_bits(bytes, 5, base32_alphabet); }

std::optional<Bytes> from_base32(std::string_view text) {
  return decode_bits(text, 5, base32_values, 0);
}

std::optional<Bytes> from_base32_lax(std::string_view text) {
  return decode_bits(text, 5, base32_values, 1);
}

std::string base64(ByteView bytes) {
  auto out = encode_bits(bytes, 6, base64_alphabet);
  while (out.size() % 4) out += '=';
  return out;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode_bits(text, 6, base64_values, 0);
}

std::string base64url(ByteView bytes) { return encode_bits(bytes, 6, base64url_alphabet); }

std::optional<Bytes> from_base64url(std::string_view text) {
  return decode_bits(text, 6, base64url_values, 0);
}

}  // namespace lafs
