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
  std::string out;
  out.reserve((bytes.size() * 8 + width - 1) / width);
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (auto b : bytes) {
    held = held << 8 | b;
    bits += 8;
    while (bits >= width) {
      bits -= width;
      out += alphabet[held >> bits & ((1u << width) - 1)];
    }
  }
  if (bits) out += alphabet[held << (width - bits) & ((1u << width) - 1)];
  return out;
}

// `ignored_bits`: how many of the highest unused bits of the last character may be set.
std::optional<Bytes> decode_bits(std::string_view text, unsigned width, std::string_view alphabet,
                                 unsigned ignored_bits) {
  const unsigned spare = text.size() * width % 8;  // unused low bits of the last character
  if (spare >= width) return std::nullopt;         // a length that no byte string has
  Bytes out;
  out.reserve(text.size() * width / 8);
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (char c : text) {
    auto value = alphabet.find(c);
    if (value == alphabet.npos) return std::nullopt;
    held = held << width | static_cast<std::uint32_t>(value);
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
  return decode_bits(text, 5, base32_alphabet, 0);
}

std::optional<Bytes> from_base32_lax(std::string_view text) {
  return decode_bits(text, 5, base32_alphabet, 1);
}

std::string base64(ByteView bytes) {
  auto out = encode_bits(bytes, 6, base64_alphabet);
  while (out.size() % 4) out += '=';
  return out;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode_bits(text, 6, base64_alphabet, 0);
}

std::string base64url(ByteView bytes) { return encode_bits(bytes, 6, base64url_alphabet); }

std::optional<Bytes> from_base64url(std::string_view text) {
  return decode_bits(text, 6, base64url_alphabet, 0);
}

}  // namespace lafs
