// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/listing.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace lafs::ftp {

namespace {

constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

char type_letter(fs::Kind kind) {
  switch (kind) {
    case fs::Kind::file:
      return '-';
    case fs::Kind::directory:
      return 'd';
    case fs::Kind::symlink:
      return 'l';
    case fs::Kind::fifo:
      return 'p';
    case fs::Kind::socket:
      return 's';
  }
  return '-';
}

void mode_letters(char* out, const fs::Attributes& a) {
  out[0] = type_letter(a.kind);
  for (int i = 0; i < 9; ++i) out[1 + i] = a.mode & (0400u >> i) ? "rwxrwxrwx"[i] : '-';
  if (a.mode & 04000) out[3] = out[3] == 'x' ? 's' : 'S';
  if (a.mode & 02000) out[6] = out[6] == 'x' ? 's' : 'S';
  if (a.mode & 01000) out[9] = out[9] == 'x' ? 't' : 'T';
}

}  // namespace

void append_list_line(std::string& out, const fs::Attributes& a, std::string_view name,
                      std::string_view link_target, std::time_t now) {
  using namespace std::chrono;
  char mode[11] = {};
  mode_letters(mode, a);
  const auto time = std::clamp<std::int64_t>(a.times.modified.tv_sec, 0, 253402300799);
  const sys_seconds at{seconds{time}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss clock{at - day};
  char buffer[128];
  constexpr std::int64_t half_a_year = 182 * 86400;
  auto* month = months[static_cast<unsigned>(date.month()) - 1];
  const auto month_day = static_cast<unsigned>(date.day());
  int n = std::snprintf(buffer, sizeof buffer, "%s %3u %-8u %-8u %8llu %s %02u ", mode, a.links,
                        a.uid, a.gid, static_cast<unsigned long long>(a.size), month, month_day);
  out.append(buffer, static_cast<std::size_t>(n));
  if (time > now + 86400 || time < now - half_a_year)
    n = std::snprintf(buffer, sizeof buffer, " %04d ", static_cast<int>(date.year()));
  else
    n = std::snprintf(buffer, sizeof buffer, "%02d:%02d ", static_cast<int>(clock.hours().count()),
                      static_cast<int>(clock.minutes().count()));
  out.append(buffer, static_cast<std::size_t>(n));
  out += name;
  if (a.kind == fs::Kind::symlink && !link_target.empty()) {
    out += " -> ";
    out += link_target;
  }
}

bool is_pattern(std::string_view path) {
  const auto slash = path.rfind('/');
  const auto last = slash == path.npos ? path : path.substr(slash + 1);
  return last.find_first_of("*?[") != last.npos;
}

PatternParts split_pattern(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == path.npos) return {"", std::string(path)};
  return {std::string(path.substr(0, slash + 1)), std::string(path.substr(slash + 1))};
}

namespace {

// The bracket expression at `pattern[0] == '['`: whether it matches `c`, and how long it is; 0 when
// it is not closed and so is an ordinary bracket.
std::size_t bracket(std::string_view pattern, unsigned char c, bool& hit) {
  std::size_t at = 1;
  const bool negated = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
  if (negated) ++at;
  hit = false;
  for (bool first = true; at < pattern.size(); first = false) {
    if (pattern[at] == ']' && !first) {
      hit = hit != negated;
      return at + 1;
    }
    const auto low = static_cast<unsigned char>(pattern[at]);
    auto high = low;
    if (at + 2 < pattern.size() && pattern[at + 1] == '-' && pattern[at + 2] != ']') {
      high = static_cast<unsigned char>(pattern[at + 2]);
      at += 2;
    }
    if (low <= c && c <= high) hit = true;
    ++at;
  }
  return 0;
}

}  // namespace

bool matches(std::string_view name, std::string_view pattern) {
  if (name.starts_with('.') && !pattern.starts_with('.')) return false;
  // One place to come back to is enough: a later star makes an earlier one's choice final.
  std::size_t n = 0, p = 0, star = std::string_view::npos, star_name = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_name = n;
      continue;
    }
    std::size_t used = 0;
    if (p < pattern.size()) {
      const auto c = static_cast<unsigned char>(name[n]);
      bool hit = false;
      const auto length = pattern[p] == '[' ? bracket(pattern.substr(p), c, hit) : 0;
      if (length)
        used = hit ? length : 0;
      else if (pattern[p] == '\\' && p + 1 < pattern.size())
        used = pattern[p + 1] == name[n] ? 2 : 0;
      else
        used = pattern[p] == '?' || pattern[p] == name[n] ? 1 : 0;
    }
    if (used) {
      p += used;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++star_name;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace lafs::ftp
