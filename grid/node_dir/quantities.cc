// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/quantities.h"

#include <algorithm>
#include <string>

#include "grid/base/netstring.h"
#include "grid/node_dir/files.h"

namespace lafs::grid {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return out;
}

// The digits at the front of `text`, taken off it.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  const auto end = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto value = parse_decimal(text.substr(0, end));
  text.remove_prefix(end);
  return value;
}

std::unexpected<Error> bad(std::string_view text, std::string_view example) {
  return fail(Errc::bad_argument,
              "\"" + std::string(text) + "\" is not like " + std::string(example));
}

}  // namespace

Result<std::optional<std::uint64_t>> parse_size(std::string_view text) {
  if (text.empty()) return std::nullopt;
  // Python's $ also matches before a final line feed.
  const auto wanted = lower(text.ends_with('\n') ? text.substr(0, text.size() - 1) : text);
  std::string_view rest = wanted;
  const auto number = take_number(rest);
  if (!number) return bad(text, "1000, 5G or 5GiB");
  unsigned power = 0;
  if (!rest.empty()) {
    if (const auto unit = std::string_view("kmgtpe").find(rest.front()); unit != rest.npos) {
      power = static_cast<unsigned>(unit) + 1;
      rest.remove_prefix(1);
    }
  }
  std::uint64_t step = 1000;
  if (rest.starts_with('i')) {
    step = 1024;
    rest.remove_prefix(1);
  }
  if (rest.starts_with('b')) rest.remove_prefix(1);
  if (!rest.empty()) return bad(text, "1000, 5G or 5GiB");
  std::uint64_t value = *number;
  for (unsigned i = 0; i < power; ++i) {
    if (__builtin_mul_overflow(value, step, &value)) return bad(text, "5G: it is too large");
  }
  return value;
}

Result<std::chrono::seconds> parse_duration(std::string_view text) {
  const auto wanted = lower(trimmed(text));
  std::string_view rest = wanted;
  const auto number = take_number(rest);
  const auto unit = trimmed(rest);
  constexpr std::int64_t day = 86400;
  std::int64_t seconds = 0;
  if (unit == "s" || unit == "second" || unit == "seconds") seconds = 1;
  if (unit == "day" || unit == "days") seconds = day;
  if (unit == "mo" || unit == "month" || unit == "months") seconds = 31 * day;
  if (unit == "year" || unit == "years") seconds = 365 * day;
  std::int64_t total = 0;
  if (!number || !seconds || *number > INT64_MAX ||
      __builtin_mul_overflow(static_cast<std::int64_t>(*number), seconds, &total)) {
    return bad(text, "31 days, 2 months or 60 s");
  }
  return std::chrono::seconds(total);
}

Result<std::int64_t> parse_date(std::string_view text) {
  const auto two = [&](std::size_t at) { return parse_decimal(text.substr(at, 2)); };
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return bad(text, "2024-02-29");
  const auto year = parse_decimal(text.substr(0, 4)), month = two(5), day = two(8);
  if (!year || !month || !day || *month < 1 || *month > 12 || *day < 1 || *day > 31) {
    return bad(text, "2024-02-29");
  }
  using namespace std::chrono;
  const auto first = sys_days(std::chrono::year(static_cast<int>(*year)) /
                              std::chrono::month(static_cast<unsigned>(*month)) / 1);
  return (first.time_since_epoch() / days(1) + static_cast<std::int64_t>(*day) - 1) * 86400;
}

}  // namespace lafs::grid
