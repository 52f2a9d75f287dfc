// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace lafs::cli {

namespace {

// The length of the UTF-8 sequence at the front, 0 when there is no valid one.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xC2 && lead < 0xE0 ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (!length || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  }
  return length;
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string human_size(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  static constexpr const char* units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, units[unit]);
}

std::string human_time(double seconds) {
  if (!std::isfinite(seconds) || seconds <= 0 || seconds > 253402300799.0) return "-";
  const auto whole = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (!::localtime_r(&whole, &parts)) return "-";
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts));
}

std::string format_table(const std::vector<std::vector<std::string>>& rows,
                         const std::vector<std::size_t>& right) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - width_of(row[i]), ' ');
      const bool last = i + 1 == row.size();
      if (std::ranges::find(right, i) != right.end()) {
        out += pad + row[i];
      } else {
        out += row[i] + (last ? "" : pad);
      }
      if (!last) out += "  ";
    }
    out += '\n';
  }
  return out;
}

std::string printable(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const auto length = sequence_length(name);
    const auto first = static_cast<unsigned char>(name[0]);
    const bool control =
        first < ' ' || first == 0x7F ||
        (length == 2 && first == 0xC2 && static_cast<unsigned char>(name[1]) < 0xA0);
    if (length && !control) {
      out += name.substr(0, length);
    } else {
      out += '?';
    }
    name.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

Result<> finish_output() {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return {};
  return fail(Errc::io,
              std::string("cannot write to standard output (") + std::strerror(errno) + ")");
}

bool colors_wanted() {
  const char* unwanted = std::getenv("NO_COLOR");
  return (!unwanted || !*unwanted) && ::isatty(STDOUT_FILENO);
}

}  // namespace lafs::cli
