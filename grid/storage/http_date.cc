// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/http_date.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>

namespace lafs::grid::storage {

namespace {

using namespace std::chrono;

constexpr std::array days_of_week{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

}  // namespace

std::string http_date(system_clock::time_point time) {
  const auto midnight = floor<days>(time);
  const year_month_day date(midnight);
  const hh_mm_ss of_day(floor<seconds>(time - midnight));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     days_of_week[weekday(midnight).c_encoding()],
                     static_cast<unsigned>(date.day()),
                     months[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                     of_day.hours().count(), of_day.minutes().count(), of_day.seconds().count());
}

std::optional<system_clock::time_point> parse_http_date(std::string_view text) {
  constexpr std::size_t length = 29;  // each field has its place
  if (text.size() != length || text.substr(3, 2) != ", " || text.substr(25) != " GMT")
    return std::nullopt;
  const std::string fields(text.substr(5, 20));
  unsigned day = 0, h = 0, m = 0, s = 0;
  int y = 0, end = 0;
  char name[4] = "";
  if (std::sscanf(fields.c_str(), "%2u %3s %4d %2u:%2u:%2u%n", &day, name, &y, &h, &m, &s, &end) !=
          6 ||
      end != static_cast<int>(fields.size())) {
    return std::nullopt;
  }
  for (unsigned i = 0; i < months.size(); ++i) {
    if (std::string_view(months[i]) != name) continue;
    const auto date = year(y) / month(i + 1) / std::chrono::day(day);
    if (!date.ok() || h > 23 || m > 59 || s > 60) return std::nullopt;
    return sys_days(date) + hours(h) + minutes(m) + seconds(s);
  }
  return std::nullopt;
}

}  // namespace lafs::grid::storage
