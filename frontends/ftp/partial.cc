// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/partial.h"

#include <cstdint>
#include <cstdio>

#include "frontends/fs/unfinished.h"

namespace lafs::ftp {

namespace {
constexpr std::size_t name_max = 255;
}  // namespace

bool names_partial(std::string_view path) {
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (fs::is_unfinished_name(path.substr(0, slash))) return true;
    if (slash == path.npos) return false;
    path.remove_prefix(slash + 1);
  }
  return false;
}

std::string partial_name(std::string_view name, unsigned n) {
  auto out = std::string(fs::unfinished_prefix) + std::to_string(n) + "-";
  if (out.size() + name.size() <= name_max) return out += name;
  // FNV-1a: names that differ only behind the cut must not meet by chance; who makes two meet on
  // purpose harms their own uploads.
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  char text[20];
  std::snprintf(text, sizeof text, "%016llx-", static_cast<unsigned long long>(hash));
  out += text;
  auto end = name_max - out.size();
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;  // whole UTF-8
  return out += name.substr(0, end);
}

Uploads::Claim Uploads::claim(const void* locks, fs::NodeId directory, std::string_view name) {
  for (unsigned n = 1;; ++n) {
    auto [at, is_new] = running_.emplace(std::pair(locks, directory.value), partial_name(name, n));
    if (is_new) return Claim(this, at, n == 1);
  }
}

}  // namespace lafs::ftp
