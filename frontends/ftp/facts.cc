// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/facts.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "frontends/ftp/command.h"

namespace lafs::ftp {

namespace {

constexpr std::array<std::string_view, fact_count> names = {
    "type", "size", "modify", "create", "perm", "unique", "UNIX.mode", "UNIX.uid", "UNIX.gid"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view type_of(const fs::Attributes& attributes) {
  switch (attributes.kind) {
    case fs::Kind::file:
      return "file";
    case fs::Kind::directory:
      return "dir";
    case fs::Kind::symlink:
      return "OS.unix=slink:";
    case fs::Kind::fifo:
      return "OS.unix=fifo";
    case fs::Kind::socket:
      return "OS.unix=socket";
  }
  return "file";
}

// RFC 3659, 7.5.5: what the account could do, whatever the mode bits are meant to say elsewhere.
std::string_view perm_of(const FactsOf& of) {
  if (of.attributes.kind == fs::Kind::directory) return of.writable ? "cdeflmp" : "el";
  return of.writable ? "adfrw" : "r";
}

std::optional<std::uint32_t> parse_octal(std::string_view text) {
  if (text.empty() || text.size() > 5) return {};
  std::uint32_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') return {};
    value = value * 8 + static_cast<std::uint32_t>(c - '0');
  }
  if (value > 07777) return {};
  return value;
}

}  // namespace

std::string fact_names(FactSet wanted, bool with_stars) {
  std::string out;
  for (std::size_t i = 0; i < fact_count; ++i) {
    const bool is_wanted = wanted & bit(static_cast<Fact>(i));
    if (!is_wanted && !with_stars) continue;
    out += names[i];
    if (is_wanted && with_stars) out += '*';
    out += ';';
  }
  return out;
}

FactSet parse_fact_names(std::string_view text) {
  FactSet out = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find(';'), text.size());
    for (std::size_t i = 0; i < fact_count; ++i)
      if (same_word(text.substr(0, end), names[i])) out |= bit(static_cast<Fact>(i));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

void append_facts(std::string& out, const FactsOf& of, FactSet wanted) {
  const auto& a = of.attributes;
  char buffer[64];
  if (wanted & bit(Fact::type)) {
    out += "type=";
    out += of.type.empty() ? type_of(a) : of.type;
    const bool can_be_said = std::ranges::none_of(
        of.link_target, [](char c) { return c == ';' || static_cast<unsigned char>(c) < 0x20; });
    if (a.kind == fs::Kind::symlink && can_be_said) out += of.link_target;
    out += ';';
  }
  if ((wanted & bit(Fact::size)) && a.kind == fs::Kind::file)
    out += "size=" + std::to_string(a.size) + ";";
  if (wanted & bit(Fact::modify)) out += "modify=" + time_value(a.times.modified) + ";";
  if ((wanted & bit(Fact::create)) && !of.created.empty()) {
    out += "create=";
    out += of.created;
    out += ';';
  }
  if (wanted & bit(Fact::perm)) {
    out += "perm=";
    out += perm_of(of);
    out += ';';
  }
  if (wanted & bit(Fact::unique)) {
    std::snprintf(buffer, sizeof buffer, "unique=%llx;",
                  static_cast<unsigned long long>(a.id.value));
    out += buffer;
  }
  if (wanted & bit(Fact::unix_mode)) {
    std::snprintf(buffer, sizeof buffer, "UNIX.mode=%04o;", a.mode & 07777);
    out += buffer;
  }
  if (wanted & bit(Fact::unix_uid)) out += "UNIX.uid=" + std::to_string(a.uid) + ";";
  if (wanted & bit(Fact::unix_gid)) out += "UNIX.gid=" + std::to_string(a.gid) + ";";
  out += ' ';
}

std::string time_value(const timespec& time) {
  using namespace std::chrono;
  const sys_seconds at{seconds{std::clamp<std::int64_t>(time.tv_sec, 0, 253402300799)}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss clock{at - day};
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%04d%02u%02u%02d%02d%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return buffer;
}

std::optional<std::time_t> from_calendar(int year, int month, int day, int hour, int minute,
                                         int second) {
  using namespace std::chrono;
  const year_month_day date{std::chrono::year{year},
                            std::chrono::month{static_cast<unsigned>(month)},
                            std::chrono::day{static_cast<unsigned>(day)}};
  // RFC 3659 allows second 60.
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return {};
  return sys_days{date}.time_since_epoch().count() * std::time_t{86400} + hour * 3600 +
         minute * 60 + second;
}

std::optional<timespec> parse_time_value(std::string_view text) {
  const auto point = text.find('.');
  const auto whole = text.substr(0, point);
  if (whole.size() != 14 ||
      !std::ranges::all_of(whole, [](char c) { return c >= '0' && c <= '9'; }))
    return {};
  auto number = [&](std::size_t at, std::size_t size) {
    return static_cast<int>(*parse_number(whole.substr(at, size)));
  };
  const auto seconds = from_calendar(number(0, 4), number(4, 2), number(6, 2), number(8, 2),
                                     number(10, 2), number(12, 2));
  if (!seconds) return {};
  timespec out{*seconds, 0};
  if (point == text.npos) return out;
  const auto fraction = text.substr(point + 1);
  if (fraction.empty() || fraction.size() > 9) return {};
  std::string nine(fraction);
  nine.resize(9, '0');
  const auto nanoseconds = parse_number(nine);
  if (!nanoseconds) return {};
  out.tv_nsec = static_cast<long>(*nanoseconds);
  return out;
}

std::optional<FactChanges> parse_fact_changes(std::string_view text) {
  FactChanges out;
  while (!text.empty()) {
    const auto end = text.find(';');
    if (end == text.npos) return {};
    const auto fact = text.substr(0, end);
    text.remove_prefix(end + 1);
    const auto equals = fact.find('=');
    if (equals == fact.npos) return {};
    const auto name = fact.substr(0, equals);
    const auto value = fact.substr(equals + 1);
    if (same_word(name, "modify")) {
      out.changes.modified = parse_time_value(value);
      if (!out.changes.modified) return {};
    } else if (same_word(name, "create")) {
      if (!parse_time_value(value)) return {};
      out.created = value;
    } else if (same_word(name, "UNIX.mode")) {
      out.changes.mode = parse_octal(value);
      if (!out.changes.mode) return {};
    } else if (same_word(name, "UNIX.uid") || same_word(name, "UNIX.gid")) {
      const auto number = parse_number(value);
      if (!number || *number > UINT32_MAX) return {};
      auto& which = lower(name[5]) == 'u' ? out.changes.uid : out.changes.gid;
      which = static_cast<std::uint32_t>(*number);
    } else {
      return {};
    }
    out.said += std::string(name) + "=" + std::string(value) + ";";
  }
  if (out.said.empty()) return {};
  return out;
}

std::optional<SiteTimes> parse_site_times(std::string_view text) {
  SiteTimes out;
  const auto blank = text.find(' ');
  if (blank == text.npos) return {};
  const auto first = text.substr(0, blank);
  if (first.size() == 12 || first.size() == 14) {
    const auto time = parse_time_value(std::string(first) + (first.size() == 12 ? "00" : ""));
    if (time) {
      out.modified = *time;
      out.path = text.substr(blank + 1);
      if (out.path.empty()) return {};
      return out;
    }
  }
  constexpr std::string_view zone = " UTC";
  if (!text.ends_with(zone)) return {};
  text.remove_suffix(zone.size());
  std::array<timespec, 3> times{};
  for (auto i = times.size(); i-- > 0;) {
    const auto last = text.rfind(' ');
    if (last == text.npos || last == 0) return {};
    const auto time = parse_time_value(text.substr(last + 1));
    if (!time) return {};
    times[i] = *time;
    text = text.substr(0, last);
  }
  out.accessed = times[0];
  out.modified = times[1];
  out.path = text;
  return out;
}

}  // namespace lafs::ftp
