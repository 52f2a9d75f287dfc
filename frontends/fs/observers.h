// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who wants to hear of changes that came from elsewhere: from another writer on the grid, or from
// another frontend of this process. A FUSE mount tells its kernel to forget what it knew. I/O
// thread only; what is called must not wait and must not call the Filesystem.

#include <functional>
#include <list>
#include <string>

#include "frontends/fs/types.h"

namespace lafs::fs {

struct Observer {
  // The name now stands for something else, or for nothing. `gone`: what it stood for, when it was
  // removed; zero when not known.
  std::function<void(NodeId parent, const std::string& name, NodeId gone)> entry_changed;
  // The bytes, or only the attributes (`bytes` false).
  std::function<void(NodeId node, bool bytes)> node_changed;
};

class Observers {
 public:
  // Until the pointer is removed. Not owned.
  void add(const Observer* observer) { all_.push_back(observer); }
  void remove(const Observer* observer) { all_.remove(observer); }
  // True when somebody but `except` listens.
  bool any(const Observer* except = nullptr) const {
    for (const auto* observer : all_)
      if (observer != except) return true;
    return false;
  }

  void entry_changed(NodeId parent, const std::string& name, NodeId gone = {},
                     const Observer* except = nullptr) const {
    for (const auto* o : all_)
      if (o != except && o->entry_changed) o->entry_changed(parent, name, gone);
  }
  void node_changed(NodeId node, bool bytes, const Observer* except = nullptr) const {
    for (const auto* o : all_)
      if (o != except && o->node_changed) o->node_changed(node, bytes);
  }

 private:
  std::list<const Observer*> all_;
};

}  // namespace lafs::fs
