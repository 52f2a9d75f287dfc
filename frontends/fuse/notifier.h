// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tells the kernel to forget what changed behind its back. On a thread of its own: the kernel may
// hold us up until pages are unlocked that wait for answers of the I/O thread.
//
// Pending notices are folded by name and by node, so there are never more than things the kernel
// knows of.

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>

#include "frontends/fs/observers.h"

struct fuse_session;

namespace lafs::fuse {

class Notifier {
 public:
  Notifier() = default;
  ~Notifier() { stop(); }
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // The session outlives stop().
  void start(fuse_session* session);
  // Ends the thread; what was not told yet is dropped. The connection should be closed before, or
  // nobody holds pages any more.
  void stop();

  void entry_changed(fs::NodeId parent, const std::string& name);
  void node_changed(fs::NodeId node, bool bytes);
  // Nothing changed: the kernel is only asked to let go of the name.
  void let_go(fs::NodeId parent, const std::string& name);

 private:
  void run();

  fuse_session* session_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::set<std::pair<std::uint64_t, std::string>> entries_;
  std::unordered_map<std::uint64_t, bool> nodes_;  // whether the bytes changed
  std::thread thread_;
};

}  // namespace lafs::fuse
