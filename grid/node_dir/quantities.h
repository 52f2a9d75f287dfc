// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sizes, durations and dates as people write them in tahoe.cfg (spec/storage 12.2).

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "grid/base/result.h"

namespace lafs::grid {

// "5GiB", "1000", "7M": digits, then K M G T P E (powers of 1000, of 1024 with an i) and B, each
// optional, in any case, no blanks. Empty: no size. Errc::bad_argument otherwise or above 2^64.
Result<std::optional<std::uint64_t>> parse_size(std::string_view text);

// "31 days", "2mo", "60 s": a month has 31 days, a year 365.
Result<std::chrono::seconds> parse_duration(std::string_view text);

// "2024-02-29": midnight UTC as seconds since 1970. Day 29..31 of a shorter month runs into the
// next one, as in Tahoe.
Result<std::int64_t> parse_date(std::string_view text);

}  // namespace lafs::grid
