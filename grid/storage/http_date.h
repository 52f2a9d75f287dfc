// SPDX-License-Identifier: Apache-2.0
#pragma once

// Times as HTTP writes them: "Wed, 25 Nov 2026 16:42:00 GMT" (RFC 9110).

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace lafs::grid::storage {

std::string http_date(std::chrono::system_clock::time_point time);
// Nothing for what is no such text; the day of the week is not looked at.
std::optional<std::chrono::system_clock::time_point> parse_http_date(std::string_view text);

}  // namespace lafs::grid::storage
