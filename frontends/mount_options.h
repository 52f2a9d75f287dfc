// SPDX-License-Identifier: Apache-2.0
#pragma once

// The words of `mount -o`, as in fstab.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grid/base/result.h"

namespace lafs {

struct MountWords {
  bool read_only = false;
  std::optional<bool> allow_other;
  std::optional<bool> default_permissions;
  std::optional<std::uint32_t> uid, gid;  // owner of what says nothing about its owner
  std::vector<std::string> kernel;        // noatime, noexec, ...: for the kernel as they are
};

// Comma-separated; what only fstab readers mean (nofail, _netdev, x-...) is dropped. Errc::
// bad_argument for what nobody knows.
Result<MountWords> parse_mount_words(std::string_view text);

}  // namespace lafs
