// SPDX-License-Identifier: Apache-2.0
#pragma once

// Files that uploads over FTP are before they are whole, kept when a connection is cut so that the
// client can go on (frontends/ftp/partial.h). They lie beside what they will be, but nobody is
// shown them, and those that nobody went on with are removed after a while.

#include <chrono>
#include <string_view>

namespace lafs::fs {

inline constexpr std::string_view unfinished_prefix = ".lafs-part-";
inline constexpr auto unfinished_kept_for = std::chrono::hours(24 * 7);

constexpr bool is_unfinished_name(std::string_view name) {
  return name.starts_with(unfinished_prefix);
}

}  // namespace lafs::fs
