// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/locks.h"

#include <algorithm>

namespace lafs::fs {

namespace {

constexpr int longest_chain = 64;  // of owners waiting for each other

bool overlaps(const ByteRange& a, const ByteRange& b) { return a.begin < b.end && b.begin < a.end; }

bool excludes(const Lock& a, const Lock& b) {
  return a.family == b.family && a.owner != b.owner && (a.exclusive || b.exclusive) &&
         overlaps(a.range, b.range);
}

}  // namespace

std::optional<Lock> LockTable::conflict(NodeId node, const Lock& lock) const {
  const auto it = nodes_.find(node);
  if (it == nodes_.end()) return {};
  std::optional<Lock> first;  // fcntl(2) shows the first one in the way
  for (const auto& held : it->second) {
    if (excludes(held, lock) && (!first || held.range.begin < first->range.begin)) first = held;
  }
  return first;
}

bool LockTable::locked(NodeId node, LockFamily family) const {
  const auto it = nodes_.find(node);
  return it != nodes_.end() && std::any_of(it->second.begin(), it->second.end(),
                                           [&](const Lock& held) { return held.family == family; });
}

void LockTable::take_away(Held& held, LockFamily family, LockOwner owner, ByteRange range) {
  for (auto it = held.begin(); it != held.end();) {
    const auto here = it++;
    if (here->family != family || here->owner != owner || !overlaps(here->range, range)) continue;
    if (range.end < here->range.end) {
      Lock rest = *here;
      rest.range.begin = range.end;
      held.insert(it, rest);
    }
    if (here->range.begin < range.begin) {
      here->range.end = range.begin;
    } else {
      held.erase(here);
    }
  }
}

bool LockTable::try_lock(NodeId node, const Lock& lock) {
  if (lock.range.empty()) return true;
  if (lock.family == LockFamily::whole_file) unlock_all(node, lock.family, lock.owner);
  if (conflict(node, lock)) return false;
  auto& held = nodes_[node];
  take_away(held, lock.family, lock.owner, lock.range);
  // Touching ranges of one kind become one, so that a long-running program's list stays short.
  Lock merged = lock;
  for (auto it = held.begin(); it != held.end();) {
    const auto here = it++;
    if (here->family != lock.family || here->owner != lock.owner ||
        here->exclusive != lock.exclusive)
      continue;
    if (here->range.end != merged.range.begin && here->range.begin != merged.range.end) continue;
    merged.range.begin = std::min(merged.range.begin, here->range.begin);
    merged.range.end = std::max(merged.range.end, here->range.end);
    held.erase(here);
  }
  held.push_back(merged);
  wake(node);  // an exclusive lock may have become a shared one
  return true;
}

void LockTable::unlock(NodeId node, LockFamily family, LockOwner owner, ByteRange range) {
  const auto it = nodes_.find(node);
  if (it == nodes_.end()) return;
  take_away(it->second, family, owner, range);
  if (it->second.empty()) nodes_.erase(it);
  wake(node);
}

void LockTable::wake(NodeId node) {
  for (auto& waiter : waiting_) {
    if (waiter.node == node) waiter.wait->changed_.notify();
  }
}

// Each owner waits for one lock at a time, so who waits for whom is a chain.
bool LockTable::would_deadlock(NodeId node, const Lock& lock) const {
  if (lock.family != LockFamily::record) return false;
  auto blocker = conflict(node, lock);
  for (int step = 0; blocker && step < longest_chain; ++step) {
    const auto next = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiter& w) {
      return w.lock.family == LockFamily::record && w.lock.owner == blocker->owner;
    });
    if (next == waiting_.end()) return false;
    blocker = conflict(next->node, next->lock);
    if (blocker && blocker->owner == lock.owner) return true;
  }
  return false;
}

Task<LockOutcome> LockTable::lock(NodeId node, Lock lock, std::shared_ptr<LockWait> wait) {
  if (try_lock(node, lock)) co_return LockOutcome::granted;
  auto outcome = LockOutcome::interrupted;
  const auto here = waiting_.insert(waiting_.end(), {node, lock, wait.get()});
  while (!wait->given_up_) {
    const bool stop = co_await stop_requested();
    if (stop) break;
    if (would_deadlock(node, lock)) {
      outcome = LockOutcome::deadlock;
      break;
    }
    co_await wait->changed_.wait();
    if (wait->given_up_) break;
    if (try_lock(node, lock)) {
      outcome = LockOutcome::granted;
      break;
    }
  }
  waiting_.erase(here);
  co_return outcome;
}

}  // namespace lafs::fs
