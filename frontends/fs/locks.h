// SPDX-License-Identifier: Apache-2.0
#pragma once

// File locks: flock(2) and POSIX record locks, for every frontend of one Filesystem. They exist in
// this process only; the grid knows no locks. Nodes are mere numbers here. I/O thread only.
//
// Invariant: within a family, the ranges of one owner on one node do not overlap, and no exclusive
// range overlaps one of another owner.

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "frontends/fs/types.h"
#include "grid/base/ranges.h"
#include "grid/base/task.h"

namespace lafs::fs {

// Whoever holds or waits for locks: an open file description for flock, a process for records. Made
// unique by the frontend (a FUSE mount mixes its own number into the kernel's).
struct LockOwner {
  std::uint64_t value = 0;
  auto operator<=>(const LockOwner&) const = default;
};

// flock(2) and fcntl(2) locks do not see each other, as on Linux.
enum class LockFamily : std::uint8_t { whole_file, record };

struct Lock {
  LockFamily family = LockFamily::whole_file;
  LockOwner owner;
  bool exclusive = false;
  ByteRange range{0, UINT64_MAX};  // whole_file: always all
  std::uint32_t pid = 0;           // what F_GETLK shows of the holder
};

enum class LockOutcome : std::uint8_t { granted, busy, deadlock, interrupted };

// One wait for a lock, and the way to end it early.
class LockWait {
 public:
  explicit LockWait(asio::any_io_executor executor) : changed_(std::move(executor)) {}
  void give_up() {
    given_up_ = true;
    changed_.notify();
  }

 private:
  friend class LockTable;
  Signal changed_;
  bool given_up_ = false;
};

class LockTable {
 public:
  // What stands in the way of `lock`, if anything.
  std::optional<Lock> conflict(NodeId node, const Lock& lock) const;

  // Takes the lock, replacing what the owner holds of its range (up or down). False: in the way is
  // somebody else; a record lock held before is then still held, a whole-file lock is gone, as
  // flock(2) says of conversions.
  bool try_lock(NodeId node, const Lock& lock);

  // Waits until the lock is taken, the wait is given up, or this task is cancelled. deadlock: for
  // record locks, when the holder waits for this owner.
  Task<LockOutcome> lock(NodeId node, Lock lock, std::shared_ptr<LockWait> wait);

  void unlock(NodeId node, LockFamily family, LockOwner owner, ByteRange range);
  // What close(2) does: all of the owner's locks of that family on that node.
  void unlock_all(NodeId node, LockFamily family, LockOwner owner) {
    unlock(node, family, owner, {0, UINT64_MAX});
  }

  // True when somebody holds such a lock.
  bool locked(NodeId node, LockFamily family) const;
  std::size_t nodes() const { return nodes_.size(); }

 private:
  struct Waiter {
    NodeId node;
    Lock lock;
    LockWait* wait;
  };

  // By family and begin; a node without locks has no entry.
  using Held = std::list<Lock>;

  bool would_deadlock(NodeId node, const Lock& lock) const;
  void take_away(Held& held, LockFamily family, LockOwner owner, ByteRange range);
  void wake(NodeId node);

  std::map<NodeId, Held> nodes_;
  std::list<Waiter> waiting_;
};

}  // namespace lafs::fs
