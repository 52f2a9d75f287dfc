// SPDX-License-Identifier: Apache-2.0
#include "frontends/mount_options.h"

#include <algorithm>
#include <array>

#include "grid/base/netstring.h"

namespace lafs {

namespace {

constexpr std::array<std::string_view, 16> for_the_kernel{
    "atime", "noatime", "dev",  "nodev",   "exec",     "noexec",   "suid",        "nosuid",
    "sync",  "async",   "sync", "dirsync", "lazytime", "relatime", "strictatime", "nodiratime"};
constexpr std::array<std::string_view, 10> for_fstab{
    "nofail", "_netdev", "auto", "noauto", "user", "nouser", "users", "owner", "defaults", "rw"};

Result<std::uint32_t> number(std::string_view word, std::string_view value) {
  const auto parsed = parse_decimal(value);
  if (!parsed || *parsed > UINT32_MAX - 1) {
    return fail(Errc::bad_argument, "mount option \"" + std::string(word) + "\" needs a number");
  }
  return static_cast<std::uint32_t>(*parsed);
}

}  // namespace

Result<MountWords> parse_mount_words(std::string_view text) {
  MountWords out;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const auto equals = word.find('=');
    const auto key = word.substr(0, equals);
    const auto value = equals == word.npos ? std::string_view{} : word.substr(equals + 1);
    if (word.empty() || word.starts_with("x-") ||
        std::ranges::find(for_fstab, word) != for_fstab.end()) {
      continue;
    }
    if (word == "ro") {
      out.read_only = true;
    } else if (word == "allow_other") {
      out.allow_other = true;
    } else if (word == "default_permissions") {
      out.default_permissions = true;
    } else if (word == "nodefault_permissions") {
      out.default_permissions = false;
    } else if (key == "uid") {
      TRY(id, number(word, value));
      out.uid = id;
    } else if (key == "gid") {
      TRY(id, number(word, value));
      out.gid = id;
    } else if (std::ranges::find(for_the_kernel, word) != for_the_kernel.end()) {
      out.kernel.emplace_back(word);
    } else {
      return fail(Errc::bad_argument, "unknown mount option \"" + std::string(word) + "\"");
    }
  }
  return out;
}

}  // namespace lafs
