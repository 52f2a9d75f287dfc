// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/notifier.h"

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <utility>

namespace lafs::fuse {

namespace {
// More than that wait only when the kernel does not come along; what it knows times out then.
constexpr std::size_t most_waiting = 100'000;
}  // namespace

void Notifier::start(fuse_session* session) {
  session_ = session;
  thread_ = std::thread([this] { run(); });
}

void Notifier::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Notifier::entry_changed(fs::NodeId parent, const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= most_waiting) return;
    entries_.emplace(parent.value, name);
    nodes_.try_emplace(parent.value, false);  // its times and its count of links
  }
  changed_.notify_one();
}

void Notifier::node_changed(fs::NodeId node, bool bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (nodes_.size() >= most_waiting) return;
    nodes_[node.value] |= bytes;
  }
  changed_.notify_one();
}

void Notifier::let_go(fs::NodeId parent, const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= most_waiting) return;
    entries_.emplace(parent.value, name);
  }
  changed_.notify_one();
}

void Notifier::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopping_ || !entries_.empty() || !nodes_.empty(); });
    if (stopping_) return;
    const auto entries = std::exchange(entries_, {});
    const auto nodes = std::exchange(nodes_, {});
    lock.unlock();
    // What the kernel does not know it answers with ENOENT; a mount that is gone with another
    // error. Neither is ours to mend.
    for (const auto& [parent, name] : entries)
      fuse_lowlevel_notify_inval_entry(session_, parent, name.c_str(), name.size());
    for (const auto& [node, bytes] : nodes)  // a negative offset means: attributes only
      fuse_lowlevel_notify_inval_inode(session_, node, bytes ? 0 : -1, 0);
  }
}

}  // namespace lafs::fuse
