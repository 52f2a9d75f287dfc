// SPDX-License-Identifier: Apache-2.0
#pragma once

// The locks that processes hold through one mount, and when they end. The kernel reports the end of
// a record lock with FLUSH, but files that are opened for reading have none (FOPEN_NOFLUSH): the
// locks that were taken through them end with RELEASE.

#include <map>
#include <random>
#include <set>

#include "frontends/fs/locks.h"

namespace lafs::fuse {

class HeldLocks {
 public:
  explicit HeldLocks(fs::LockTable& table) : table_(table), salt_(random_salt()) {}

  fs::LockTable& table() { return table_; }
  // The kernel's owners are unique within one mount.
  fs::LockOwner owner(std::uint64_t of_kernel) const { return {of_kernel ^ salt_}; }

  void taken(fs::NodeId node, fs::HandleId handle, const fs::Lock& lock) {
    held_.insert({node, lock.owner, lock.family});
    if (lock.family == fs::LockFamily::record) through_[handle.value].insert({node, lock.owner});
  }
  // A descriptor of this owner was closed, and the kernel says so.
  void flushed(fs::NodeId node, fs::LockOwner owner) {
    if (!held_.empty()) drop(node, owner, fs::LockFamily::record);
  }
  // The open file is gone.
  void released(fs::NodeId node, fs::HandleId handle, std::optional<fs::LockOwner> flock) {
    if (held_.empty()) return;
    if (flock) drop(node, *flock, fs::LockFamily::whole_file);
    const auto it = through_.find(handle.value);
    if (it == through_.end()) return;
    for (const auto& [where, owner] : it->second) drop(where, owner, fs::LockFamily::record);
    through_.erase(it);
  }
  void give_back_all() {
    for (const auto& [node, owner, family] : held_) table_.unlock_all(node, family, owner);
    held_.clear();
    through_.clear();
  }

 private:
  static std::uint64_t random_salt() {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
  }
  void drop(fs::NodeId node, fs::LockOwner owner, fs::LockFamily family) {
    if (held_.erase({node, owner, family}) > 0) table_.unlock_all(node, family, owner);
  }

  fs::LockTable& table_;
  std::uint64_t salt_;
  std::set<std::tuple<fs::NodeId, fs::LockOwner, fs::LockFamily>> held_;
  std::map<std::uint64_t, std::set<std::pair<fs::NodeId, fs::LockOwner>>> through_;  // by handle
};

}  // namespace lafs::fuse
