// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/rights.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace lafs::grid {

namespace {

std::string name_of_user(uid_t uid) {
  const auto* user = ::getpwuid(uid);
  return user ? user->pw_name : std::to_string(uid);
}

}  // namespace

std::vector<std::string> complaints_about_rights(const std::filesystem::path& node) {
  std::vector<std::string> out;
  const auto keys = node / "private";
  struct stat whole{}, secret{};
  if (::stat(node.c_str(), &whole) != 0 || ::stat(keys.c_str(), &secret) != 0) return out;
  if (const auto us = ::geteuid(); whole.st_uid != us) {
    out.push_back(node.string() + ": belongs to " + name_of_user(whole.st_uid) + ", not to " +
                  name_of_user(us) + "; run lafs as its owner, or chown -R it");
  }
  // Group and others may not even look: names of files say what is kept.
  if (secret.st_mode & 077)
    out.push_back(keys.string() + ": others may read the keys in it; chmod 700 it");
  if (whole.st_mode & 022) {
    out.push_back(node.string() +
                  ": others may change the settings in it, and so whom lafs trusts; chmod go-w it");
  }
  return out;
}

}  // namespace lafs::grid
