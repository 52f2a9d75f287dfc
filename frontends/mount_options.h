// SPDX-License-Identifier: Apache-2.0
#pragma once

// The words of `mount -o`, as in fstab.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grid/base/result.h"
#include "grid/base/task.h"

namespace lafs {

struct MountWords {
  bool read_only = false;
  // Who may look, and who checks.
  std::optional<bool> allow_other;
  bool allow_root = false;
  std::optional<bool> default_permissions;
  // What entries look like.
  std::optional<std::uint32_t> uid, gid;            // owner of what says nothing about its owner
  std::uint32_t file_mask = 0, directory_mask = 0;  // bits that no mode shows
  // What the kernel keeps, in seconds.
  std::optional<double> attr_timeout, entry_timeout, negative_timeout;
  std::optional<unsigned> read_ahead_kib;
  // The cache and the way to the grid.
  enum class Durability : std::uint8_t { journal, grid };
  std::optional<Durability> durability;  // what close and fsync wait for
  bool sync_on_close = false;            // sync=close: each close is an fsync
  bool hard = false;                     // wait for the grid, however long
  std::optional<Duration> timeout;       // of one read, when soft
  std::optional<Duration> write_back_delay;
  std::optional<std::string> cache_dir;
  std::optional<bool> cache_reads;  // cache_mode=writes|full
  std::optional<std::uint64_t> cache_size, min_free;
  // The program.
  std::optional<std::string> node, log_file, pid_file;
  std::optional<std::string> fsname;
  bool foreground = false, debug = false;
  std::vector<std::string> kernel;  // noatime, noexec, ...: for the kernel as they are
};

// Comma-separated; what only fstab readers mean (nofail, _netdev, x-...) is dropped. Errc::
// bad_argument, naming the word, for what nobody knows.
Result<MountWords> parse_mount_words(std::string_view text);

}  // namespace lafs
