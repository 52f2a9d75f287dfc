// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "frontends/fs/filesystem.h"

using namespace lafs;

namespace {

// A decoder of the other kind: numbers first, then the rules about numbers.
bool is_utf8(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int length = lead < 0x80       ? 1
                       : lead >> 5 == 6  ? 2
                       : lead >> 4 == 14 ? 3
                       : lead >> 3 == 30 ? 4
                                         : 0;
    if (length == 0 || i + static_cast<std::size_t>(length) > text.size()) return false;
    std::uint32_t value = length == 1 ? lead : lead & (0x7fu >> length);
    for (int k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + static_cast<std::size_t>(k)]);
      if (next >> 6 != 2) return false;
      value = value << 6 | (next & 0x3f);
    }
    const std::uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < smallest[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
      return false;
    }
    i += static_cast<std::size_t>(length);
  }
  return true;
}

std::optional<Errc> refusal(std::string_view name) {
  const auto checked = fs::check_name(name);
  return checked ? std::nullopt : std::optional(checked.error().code);
}

}  // namespace

TEST_CASE("a name has 1 to 255 bytes without slash and NUL, and is not a dot or two") {
  CHECK(refusal("") == Errc::bad_name);
  CHECK(refusal(".") == Errc::bad_name);
  CHECK(refusal("..") == Errc::bad_name);
  CHECK(refusal("...") == std::nullopt);
  CHECK(refusal(".hidden") == std::nullopt);
  CHECK(refusal("/") == Errc::bad_name);
  CHECK(refusal("a/b") == Errc::bad_name);
  CHECK(refusal(std::string_view("a\0b", 3)) == Errc::bad_name);
  CHECK(refusal(std::string(255, 'a')) == std::nullopt);
  CHECK(refusal(std::string(256, 'a')) == Errc::name_too_long);
  CHECK(refusal(std::string(253, 'a') + "\u00fc") == std::nullopt);
  CHECK(refusal(std::string(254, 'a') + "\u00fc") == Errc::name_too_long);
}

TEST_CASE("of all strings of up to three bytes, exactly those in UTF-8 are names") {
  int good = 0;
  const auto check = [&](const std::string& text) {
    if (text.find('/') != text.npos || text.find('\0') != text.npos || text == "." || text == "..")
      return true;
    good += is_utf8(text);
    return fs::check_name(text).has_value() == is_utf8(text);
  };
  bool agree = true;
  for (int a = 0; a < 256; ++a) {
    const std::string one(1, static_cast<char>(a));
    agree = check(one) && agree;
    for (int b = 0; b < 256; ++b) {
      const auto two = one + static_cast<char>(b);
      agree = check(two) && agree;
      if (a < 0x80) continue;  // what follows ASCII has been checked on its own
      for (int c = 0; c < 256; c += (c < 0x7e || c > 0xc1) ? 7 : 1) {
        agree = check(two + static_cast<char>(c)) && agree;
      }
    }
  }
  CHECK(agree);
  CHECK(good > 30'000);
}

TEST_CASE("four-byte sequences end at U+10FFFF") {
  CHECK(refusal("\xf0\x90\x80\x80") == std::nullopt);
  CHECK(refusal("\xf4\x8f\xbf\xbf") == std::nullopt);
  for (const auto* bad :
       {"\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf0\x90\x80",
        "\xf0\x90\x80\x41", "\xf0\x90\x41\x80", "\xff", "a\x80"}) {
    CHECK(refusal(bad) == Errc::bad_name);
  }
}
