// SPDX-License-Identifier: Apache-2.0
#include "frontends/mount_options.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>

#include "grid/base/netstring.h"
#include "grid/node_dir/quantities.h"

namespace lafs {

namespace {

using Take = std::function<Result<>(MountWords&, std::string_view value)>;

constexpr std::string_view for_the_kernel[] = {
    "atime",  "noatime", "diratime", "nodiratime", "dev",     "nodev", "exec",
    "noexec", "suid",    "nosuid",   "sync",       "dirsync", "async"};
// nolazytime and the like have no meaning for FUSE, relatime is what a drive does anyway.
constexpr std::string_view for_fstab[] = {
    "nofail",   "_netdev",    "auto",        "noauto",        "user",       "nouser",     "users",
    "nousers",  "owner",      "noowner",     "group",         "nogroup",    "defaults",   "comment",
    "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime",   "nolazytime", "silent",
    "loud",     "s",          "sloppy",      "nonempty",      "big_writes", "subtype"};

std::unexpected<Error> bad_value(const char* wanted) { return fail(Errc::bad_argument, wanted); }

Result<std::uint32_t> number(std::string_view value) {
  const auto parsed = parse_decimal(value);
  if (!parsed || *parsed > UINT32_MAX - 1) return bad_value("a number");
  return static_cast<std::uint32_t>(*parsed);
}

Result<std::uint32_t> octal(std::string_view value) {
  std::uint32_t mask = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), mask, 8);
  if (error != std::errc{} || end != value.data() + value.size() || mask > 0777)
    return bad_value("an octal mask such as 022");
  return mask;
}

Result<double> seconds(std::string_view value) {
  double out = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (error != std::errc{} || end != value.data() + value.size() || !(out >= 0) || out > 1e9)
    return bad_value("seconds");
  return out;
}

Result<Duration> duration(std::string_view value) {
  TRY(out, seconds(value));
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(out));
}

Result<std::uint64_t> size(std::string_view value) {
  TRY(out, grid::parse_size(value));
  if (!out) return bad_value("a size such as 20G");
  return *out;
}

Result<std::string> text(std::string_view value) {
  if (value.empty()) return bad_value("a name");
  return std::string(value);
}

template <class Field, class Parse>
Take into(Field MountWords::* field, Parse parse) {
  return [field, parse](MountWords& out, std::string_view value) -> Result<> {
    TRY(parsed, parse(value));
    out.*field = parsed;
    return {};
  };
}

template <class Field, class Value>
Take set(Field MountWords::* field, Value value) {
  return [field, value](MountWords& out, std::string_view) -> Result<> {
    out.*field = value;
    return {};
  };
}

const std::map<std::string_view, Take, std::less<>>& with_values() {
  using W = MountWords;
  static const std::map<std::string_view, Take, std::less<>> table{
      {"uid", into(&W::uid, number)},
      {"gid", into(&W::gid, number)},
      {"umask",
       [](W& out, std::string_view value) -> Result<> {
         TRY(mask, octal(value));
         out.file_mask = out.directory_mask = mask;
         return {};
       }},
      {"fmask", into(&W::file_mask, octal)},
      {"dmask", into(&W::directory_mask, octal)},
      {"attr_timeout", into(&W::attr_timeout, seconds)},
      {"entry_timeout", into(&W::entry_timeout, seconds)},
      {"negative_timeout", into(&W::negative_timeout, seconds)},
      {"ac_attr_timeout", into(&W::attr_timeout, seconds)},
      {"readahead",
       [](W& out, std::string_view value) -> Result<> {
         TRY(bytes, size(value));
         out.read_ahead_kib = static_cast<unsigned>(std::min<std::uint64_t>(bytes >> 10, 1 << 20));
         return {};
       }},
      {"durability",
       [](W& out, std::string_view value) -> Result<> {
         if (value == "journal")
           out.durability = W::Durability::journal;
         else if (value == "grid")
           out.durability = W::Durability::grid;
         else
           return bad_value("journal or grid");
         return {};
       }},
      {"sync",
       [](W& out, std::string_view value) -> Result<> {
         if (value != "close") return bad_value("close");
         out.sync_on_close = true;
         return {};
       }},
      {"timeout", into(&W::timeout, duration)},
      {"write_back_delay", into(&W::write_back_delay, duration)},
      {"cache_dir", into(&W::cache_dir, text)},
      {"cache_mode",
       [](W& out, std::string_view value) -> Result<> {
         if (value == "full")
           out.cache_reads = true;
         else if (value == "writes")
           out.cache_reads = false;
         else
           return bad_value("full or writes");
         return {};
       }},
      {"cache_size", into(&W::cache_size, size)},
      {"min_free", into(&W::min_free, size)},
      {"node", into(&W::node, text)},
      {"log_file", into(&W::log_file, text)},
      {"pid_file", into(&W::pid_file, text)},
      {"fsname", into(&W::fsname, text)},
  };
  return table;
}

const std::map<std::string_view, Take, std::less<>>& alone() {
  using W = MountWords;
  static const std::map<std::string_view, Take, std::less<>> table{
      {"ro", set(&W::read_only, true)},
      {"rw", set(&W::read_only, false)},
      {"allow_other", set(&W::allow_other, true)},
      {"noallow_other", set(&W::allow_other, false)},
      {"allow_root", set(&W::allow_root, true)},
      {"default_permissions", set(&W::default_permissions, true)},
      {"nodefault_permissions", set(&W::default_permissions, false)},
      {"hard", set(&W::hard, true)},
      {"soft", set(&W::hard, false)},
      {"f", set(&W::foreground, true)},
      {"foreground", set(&W::foreground, true)},
      {"debug", set(&W::debug, true)},
      {"d", set(&W::debug, true)},
  };
  return table;
}

bool is_in(std::string_view word, std::span<const std::string_view> list) {
  return std::ranges::find(list, word) != list.end();
}

}  // namespace

Result<MountWords> parse_mount_words(std::string_view words) {
  MountWords out;
  while (!words.empty()) {
    const auto word = words.substr(0, words.find(','));
    words.remove_prefix(std::min(words.size(), word.size() + 1));
    const auto equals = word.find('=');
    const auto key = word.substr(0, equals);
    if (word.empty() || key.starts_with("x-") || key.starts_with("X-") || is_in(key, for_fstab))
      continue;
    Result<> taken = fail(Errc::bad_argument);
    if (equals == word.npos) {
      const auto it = alone().find(key);
      if (it != alone().end()) {
        taken = it->second(out, {});
      } else if (is_in(key, for_the_kernel)) {
        out.kernel.emplace_back(word);
        taken = {};
      } else if (with_values().contains(key)) {
        return fail(Errc::bad_argument, "mount option \"" + std::string(word) + "\" needs a value");
      } else {
        return fail(Errc::bad_argument, "unknown mount option \"" + std::string(word) + "\"");
      }
    } else {
      const auto it = with_values().find(key);
      if (it == with_values().end())
        return fail(Errc::bad_argument, "unknown mount option \"" + std::string(word) + "\"");
      taken = it->second(out, word.substr(equals + 1));
    }
    if (!taken) {
      return fail(Errc::bad_argument,
                  "mount option \"" + std::string(word) + "\" needs " + taken.error().context);
    }
  }
  return out;
}

}  // namespace lafs
