// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the kernel holds of a Filesystem through one mount: references and handles. An unmount
// does not send them back, and other frontends go on using the same Filesystem, so this account is
// what returns them. It also keeps FORGET and RELEASE from giving back what was not taken.

#include <unordered_map>

#include "frontends/fs/filesystem.h"

namespace lafs::fuse {

class Held {
 public:
  explicit Held(fs::Filesystem& filesystem) : filesystem_(filesystem) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  // The kernel has been given one more reference.
  void reference(fs::NodeId node) { ++references_[node.value]; }
  // The kernel gives references back.
  void forget(fs::NodeId node, std::uint64_t references);

  enum class HandleKind : std::uint8_t { file, append, directory };
  void opened(fs::HandleId handle, fs::NodeId node, HandleKind kind) {
    if (handles_.emplace(handle.value, Open{node, kind}).second) ++open_nodes_[node.value];
  }
  bool is_open(fs::NodeId node) const { return open_nodes_.contains(node.value); }
  std::size_t nodes() const { return references_.size(); }
  bool holds(fs::NodeId node) const { return references_.contains(node.value); }

  // True when a write at an offset would go to the end instead.
  bool appends(fs::HandleId handle) const;
  // False when the handle is not held (any more): then there is nothing to release.
  bool closed(fs::HandleId handle);

  // Returns everything. Nobody may use the rest meanwhile.
  Task<> give_back_all();

 private:
  fs::Filesystem& filesystem_;
  std::unordered_map<std::uint64_t, std::uint64_t> references_;
  struct Open {
    fs::NodeId node;
    HandleKind kind;
  };
  std::unordered_map<std::uint64_t, Open> handles_;
  std::unordered_map<std::uint64_t, std::uint64_t> open_nodes_;  // how many handles each has
};

}  // namespace lafs::fuse
