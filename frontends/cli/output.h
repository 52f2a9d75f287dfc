// SPDX-License-Identifier: Apache-2.0
#pragma once

// Printing: facts to standard output (as text or JSON), errors and progress to standard error.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grid/base/result.h"

namespace lafs::cli {

// 0..999 bytes as they are, then "1.2 kB", "345 MB": decimal units, three digits.
std::string human_size(std::uint64_t bytes);

// Seconds since 1970 as "2026-11-22 09:30" in local time; "-" for nothing.
std::string human_time(double seconds);

// Columns padded to the widest cell; numbers (columns named in `right`) to the right. A line feed
// after each row, no trailing blanks. Widths count code points.
std::string format_table(const std::vector<std::vector<std::string>>& rows,
                         const std::vector<std::size_t>& right = {});

// A file name for a terminal: control characters and invalid UTF-8 become "?".
std::string printable(std::string_view name);

// Standard output and what became of it. A command that prints ends with `return finish_output()`.
void print(std::string_view text);
// Errc::io when something printed did not arrive (a full disk, a closed pipe).
Result<> finish_output();

// NO_COLOR is unset and standard output is a terminal.
bool colors_wanted();

}  // namespace lafs::cli
