// SPDX-License-Identifier: Apache-2.0
#pragma once

// Places where something is mounted: finding them, clearing dead ones, unmounting.
//
// A killed daemon leaves its mount behind; it answers ENOTCONN to everything and blocks the next
// mount. Unmounting may wait for our own daemon to write dirty pages, so a daemon never calls
// unmount() on its own mount from the thread that serves it.

#include <optional>
#include <string>
#include <string_view>

#include "grid/base/result.h"

namespace lafs::fuse {

struct MountEntry {
  std::string device;      // "major:minor", as st_dev and /sys/class/bdi name it
  std::string mountpoint;  // absolute, without symbolic links
  std::string type;        // e.g. "fuse.lafs"
  std::string source;

  unsigned minor() const;  // names the connection in /sys/fs/fuse/connections
  bool operator==(const MountEntry&) const = default;
};

// The topmost mount at `path` in a text of the form of /proc/self/mountinfo (proc(5)). Lines that
// are not of that form are skipped.
std::optional<MountEntry> find_mount(std::string_view mountinfo, std::string_view path);

// The same for the running system. Asks no daemon anything, so it cannot hang.
std::optional<MountEntry> mounted_at(const std::string& path);

// `path` made absolute and free of symbolic links. Works on dead mounts.
Result<std::string> canonical_mountpoint(const std::string& path);

// Makes `path` fit to be mounted on: clears dead mounts, and refuses what is no directory
// (not_directory, not_found) or carries a living mount of the same `type` (busy).
Result<std::string> prepare_mountpoint(const std::string& path, std::string_view type);

// umount2 as root, fusermount3 otherwise. `lazy`: out of the tree at once, gone when the last user
// is. busy: files are open there; not_found: nothing is mounted there.
Result<> unmount(const std::string& path, bool lazy);

// Cuts the connection to the daemon: all requests fail from now on. False when not possible.
bool sever_connection(const MountEntry& mount);

// How far the kernel reads ahead on this mount. Root only; false when not possible.
bool set_read_ahead(const MountEntry& mount, unsigned kib);

}  // namespace lafs::fuse
