// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the parts of Control (control*.cc) share.

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "frontends/ftp/control.h"

namespace lafs::ftp {

inline Step say(int code, std::string text) {
  Step out;
  out.reply = {code, std::move(text)};
  return out;
}

inline std::string upper(std::string_view text) { return split_word(text).name; }

// Of HASH: its name there and in FEAT, and the name of the digest.
struct Algorithm {
  std::string_view name, digest;
};
inline constexpr std::array<Algorithm, 5> algorithms = {{{"SHA-256", "sha256"},
                                                         {"SHA-512", "sha512"},
                                                         {"SHA-1", "sha1"},
                                                         {"MD5", "md5"},
                                                         {"CRC32", "crc32"}}};

}  // namespace lafs::ftp
