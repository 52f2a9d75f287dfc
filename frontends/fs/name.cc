// SPDX-License-Identifier: Apache-2.0
// Which names a filesystem takes. The grid stores names as UTF-8, so bytes that are none have no
// place there; saying so at once beats storing something that no other client can read.
#include <cstdint>
#include <string_view>

#include "frontends/fs/filesystem.h"

namespace lafs::fs {

namespace {

constexpr std::size_t longest_name = 255;

// Length of the well-formed UTF-8 sequence at the front of `text` (Unicode table 3-7), 0 when there
// is none: no overlong forms, no surrogates, nothing above U+10FFFF.
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  std::size_t length = 0;
  std::uint8_t low = 0x80, high = 0xbf;  // bounds of the second byte
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return length;
}

}  // namespace

Result<> check_name(std::string_view name) {
  if (name.empty()) return fail(Errc::bad_name, "an empty name");
  if (name == "." || name == "..") return fail(Errc::bad_name, std::string(name));
  if (name.size() > longest_name) return fail(Errc::name_too_long, std::string(name.substr(0, 40)));
  for (auto rest = name; !rest.empty();) {
    if (rest[0] == '/' || rest[0] == '\0') return fail(Errc::bad_name, "a slash or NUL in a name");
    const auto length = utf8_sequence(rest);
    if (length == 0) return fail(Errc::bad_name, "a name that is not UTF-8");
    rest.remove_prefix(length);
  }
  return {};
}

}  // namespace lafs::fs
