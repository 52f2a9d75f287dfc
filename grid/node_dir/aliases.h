// SPDX-License-Identifier: Apache-2.0
#pragma once

// private/aliases: `name: cap` on each line, `#` comments (spec/storage 12.3). A later line wins;
// white space before the colon belongs to the name. The caps are kept as texts: what they are is
// looked at when they are used.

#include <map>
#include <string>
#include <string_view>

#include "grid/base/result.h"

namespace lafs::grid {

using Aliases = std::map<std::string, std::string, std::less<>>;

// `file` is what errors call it: Errc::bad_config with the line of one that has no colon or no cap.
Result<Aliases> parse_aliases(std::string_view text, const std::string& file);

// Letters, digits and UTF-8, no ':', '/', white space or control characters, not empty: what can be
// typed in front of a colon. Errc::bad_name otherwise.
Result<> check_alias_name(std::string_view name);

}  // namespace lafs::grid
