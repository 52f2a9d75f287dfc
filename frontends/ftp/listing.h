// SPDX-License-Identifier: Apache-2.0
#pragma once

// Lines of LIST as `ls -l` prints them, and the patterns that clients put into LIST and NLST.
// Plain.

#include <ctime>
#include <string>
#include <string_view>

#include "frontends/fs/types.h"

namespace lafs::ftp {

// "-rw-r--r--   1 1000     1000          5 Jan 02 15:04 name". UTC; a year instead of the time when
// it is half a year away from `now`. No line end.
void append_list_line(std::string& out, const fs::Attributes& attributes, std::string_view name,
                      std::string_view link_target, std::time_t now);

// Whether the last part of the path has *, ? or [ in it.
bool is_pattern(std::string_view path);
struct PatternParts {
  std::string directory;  // ends with a slash, or is empty
  std::string pattern;
};
PatternParts split_pattern(std::string_view path);
// As glob(7): a leading dot must be matched by a dot. Bounded: at most name length times pattern
// length steps.
bool matches(std::string_view name, std::string_view pattern);

}  // namespace lafs::ftp
