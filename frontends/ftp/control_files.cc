// SPDX-License-Identifier: Apache-2.0

// Control: commands that name files.

#include "frontends/ftp/control_words.h"

namespace lafs::ftp {

namespace {

// The last two words of "path start end" as numbers, when they are.
void take_range(std::string& path, Range& range) {
  std::string_view rest = path;
  std::array<std::uint64_t, 2> numbers{};
  std::size_t found = 0;
  while (found < 2) {
    const auto blank = rest.rfind(' ');
    if (blank == rest.npos || blank == 0) break;
    const auto number = parse_number(rest.substr(blank + 1));
    if (!number) break;
    numbers[found++] = *number;
    rest = rest.substr(0, blank);
  }
  if (found == 2) {
    range = {numbers[1], numbers[0]};
    path = std::string(rest);
  }
}

// "a b" or "\"a x\" \"b y\"".
std::optional<std::pair<std::string, std::string>> two_paths(std::string_view text) {
  std::array<std::string, 2> out;
  for (auto& word : out) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    if (text.starts_with('"')) {
      const auto end = text.find('"', 1);
      if (end == text.npos) return {};
      word = text.substr(1, end - 1);
      text.remove_prefix(end + 1);
    } else {
      const auto end = std::min(text.find(' '), text.size());
      word = text.substr(0, end);
      text.remove_prefix(end);
    }
    if (word.empty()) return {};
  }
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  if (!text.empty()) return {};
  return std::pair(out[0], out[1]);
}

}  // namespace

Step Control::files(const Command& command) {
  const auto& argument = command.argument;
  switch (command.verb) {
    case Verb::pwd:
      return say(257, quoted_path(directory_) + " is the current directory");
    case Verb::cwd:
      return on_path(Do::change_directory, argument.empty() ? "~" : argument);
    case Verb::cdup:
      return on_path(Do::change_directory, "..");
    case Verb::rnfr:
      return on_path(Do::rename_from, argument);
    case Verb::dele:
      return on_path(Do::remove_file, argument);
    case Verb::rmd:
      return on_path(Do::remove_directory, argument);
    case Verb::mkd:
      return on_path(Do::make_directory, argument);
    case Verb::size:
      return on_path(Do::size, argument);
    case Verb::mlst:
      return on_path(Do::machine_facts, argument);
    case Verb::avbl:
      return on_path(Do::available, argument);
    case Verb::stat: {
      if (argument.empty()) {
        Step out;
        out.what = Do::status;
        return out;
      }
      auto listing = parse_list_argument(argument);
      auto out = on_path(Do::status_of, listing.path);
      out.listing = std::move(listing);
      return out;
    }
    case Verb::mdtm:
    case Verb::mfmt:
    case Verb::mfct:
    case Verb::mff:
      return times(command);
    default:
      return digest(command);
  }
}

Step Control::times(const Command& command) {
  const auto& argument = command.argument;
  const auto blank = argument.find(' ');
  const auto first = argument.substr(0, blank);
  const auto path = blank == argument.npos ? "" : argument.substr(blank + 1);
  if (command.verb == Verb::mff) {
    if (path.empty()) return say(501, "MFF needs facts and a path.");
    if (!parse_fact_changes(first)) return say(504, "These facts cannot be changed.");
    auto out = on_path(Do::set_facts, path);
    out.text = first;
    return out;
  }
  const bool is_time = parse_time_value(first).has_value();
  if (command.verb == Verb::mdtm) {
    // A file may be named like a time; with a path behind it, it is one.
    if (!is_time || path.empty()) return on_path(Do::modified, argument);
  } else if (!is_time || path.empty()) {
    return say(501, "That needs a time (YYYYMMDDHHMMSS) and a path.");
  }
  auto out = on_path(command.verb == Verb::mfct ? Do::set_created : Do::set_modified, path);
  out.text = first;
  out.number = command.verb == Verb::mdtm;  // its reply reads differently
  return out;
}

Step Control::digest(const Command& command) {
  auto path = command.argument;
  Range range;
  if (command.verb == Verb::hash) {
    range = std::exchange(range_, {});
    auto out = on_path(Do::hash, path);
    out.range = range;
    out.second = hash_;
    for (const auto& algorithm : algorithms)
      if (algorithm.name == hash_) out.text = algorithm.digest;
    return out;
  }
  // "XMD5 path" and "XMD5 path start end"; paths with blanks may be quoted.
  if (path.starts_with('"')) {
    const auto end = path.find('"', 1);
    if (end == path.npos || end == 1) return say(501, "The quote is not closed.");
    auto rest = "x" + path.substr(end + 1);
    take_range(rest, range);
    if (rest != "x") return say(501, "That needs a path, or a path and two numbers.");
    path = path.substr(1, end - 1);
  } else {
    take_range(path, range);
  }
  if (range.end && *range.end < range.begin) return say(501, "The range ends before it begins.");
  auto out = on_path(Do::digest, path);
  out.range = range;
  out.text = command.verb == Verb::xcrc      ? "crc32"
             : command.verb == Verb::xmd5    ? "md5"
             : command.verb == Verb::xsha1   ? "sha1"
             : command.verb == Verb::xsha256 ? "sha256"
                                             : "sha512";
  return out;
}

Step Control::site(std::string_view argument) {
  const auto [what, value] = split_word(argument);
  if (what == "HELP") {
    Step out;
    out.reply = {214,
                 "SITE commands:",
                 {"CHMOD mode path", "COPY from to", "CPFR path, CPTO path", "HELP", "IDLE seconds",
                  "SYMLINK target path", "UTIME YYYYMMDDhhmmss path"},
                 "End"};
    return out;
  }
  if (what == "IDLE") {
    if (value.empty())
      return say(200, "The idle limit is " + std::to_string(idle_limit_) + " seconds.");
    const auto seconds = parse_number(value);
    if (!seconds || *seconds < 10 || *seconds > options_.idle_limit_max)
      return say(501, "The idle limit is from 10 to " + std::to_string(options_.idle_limit_max) +
                          " seconds.");
    idle_limit_ = static_cast<std::uint32_t>(*seconds);
    return say(200, "Idle limit set.");
  }
  if (what == "CHMOD") {
    const auto [mode, path] = split_word(value);
    const auto facts = parse_fact_changes("UNIX.mode=" + mode + ";");
    if (!facts || path.empty()) return say(501, "SITE CHMOD needs an octal mode and a path.");
    auto out = on_path(Do::set_mode, path);
    out.number = *facts->changes.mode;
    return out;
  }
  if (what == "UTIME") {
    const auto times = parse_site_times(value);
    if (!times) return say(501, "SITE UTIME needs YYYYMMDDhhmmss and a path.");
    auto out = on_path(Do::set_times, times->path);
    out.text = value;
    return out;
  }
  if (what == "CPFR" && !value.empty()) return on_path(Do::copy_from, value);
  if (what == "CPTO" && !value.empty()) {
    auto from = std::exchange(copy_from_, std::nullopt);
    if (!from) return say(503, "SITE CPFR comes first.");
    auto out = on_path(Do::copy, value);
    out.second = std::exchange(out.path, *from);
    return out;
  }
  if (what == "COPY" || what == "SYMLINK") {
    const auto paths = two_paths(value);
    if (!paths) return say(501, "SITE " + what + " needs two paths; quote those with blanks.");
    if (what == "SYMLINK") {
      auto out = on_path(Do::make_link, paths->second);
      out.second = paths->first;
      return out;
    }
    auto out = on_path(Do::copy, paths->first);
    out.second = absolute(paths->second);
    return out;
  }
  if (what == "CPFR" || what == "CPTO") return say(501, "SITE " + what + " needs a path.");
  return say(500, "Unknown SITE command; SITE HELP lists those we know.");
}

}  // namespace lafs::ftp
