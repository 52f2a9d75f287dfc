// SPDX-License-Identifier: Apache-2.0
#pragma once

// The nodes that somebody knows: referenced by a frontend, open, or being worked on. Decides who
// lives and who is dropped; what a node is and what is on its way to the grid is its inode's and
// the tree's business, which remember it without a node. I/O thread only.
//
// Invariants: a node with a name is in its parent's `children` under that name, and keeps its
// parent alive. A node is dropped when it has no reference, no open handle, no pin and no living
// child.

#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "cache/write_back.h"
#include "frontends/fs/types.h"

namespace lafs::fs {

struct Node {
  NodeId id;
  cache::InodePtr inode;
  Node* parent = nullptr;  // null: the root, or a node that lost its name
  std::string name;
  std::map<std::string, Node*, std::less<>> children;  // living ones only

  std::uint64_t references = 0;
  std::uint64_t opens = 0;
  std::uint64_t pins = 0;
  // It lost its name, but whoever found it before may still open it: its content stays.
  bool holds_content = false;

  bool shown = false;  // the content is still what the last open found: kernel caches hold
  std::shared_ptr<cache::CachedDirectory> directory;  // for directories on the grid, once used
  std::optional<timespec> directory_changed;          // newest change of its entries through us

  Kind kind() const;
  bool file() const { return kind() == Kind::file; }
};

class NodeTable {
 public:
  // Keeps a node from being dropped while a coroutine works on it.
  class [[nodiscard]] Pin {
   public:
    Pin(NodeTable* table, Node* node) : table_(table), node_(node) { ++node_->pins; }
    Pin(Pin&& other) noexcept : table_(other.table_), node_(std::exchange(other.node_, nullptr)) {}
    Pin& operator=(Pin&&) = delete;
    ~Pin() {
      if (!node_) return;
      --node_->pins;
      table_->drop_if_unused(*node_);
    }
    Node* operator->() const { return node_; }
    Node& operator*() const { return *node_; }

   private:
    NodeTable* table_;
    Node* node_;
  };

  // The write path outlives the table.
  NodeTable(cache::WriteBack& write_back, const cache::Cap& root);
  ~NodeTable();

  Node& root() { return *find(root_node); }
  Node* find(NodeId id);
  // Errc::bad_handle when there is no such node.
  Result<Pin> pin(NodeId id);
  Pin pin(Node& node) { return Pin(this, &node); }
  // The living node of an inode, or null.
  Node* of(const cache::Inode& inode);

  // A node for an inode that has none, without a name. Give it a name or a pin before anything can
  // suspend.
  Node& make(cache::InodePtr inode);
  void attach(Node& node, Node& parent, const std::string& name);
  void detach(Node& node);  // takes the name away; does not drop the node
  void move(Node& node, Node& parent, const std::string& name);
  // It is about to lose its name: what it holds stays as long as the node.
  void keep_content(Node& node);

  void forget(NodeId id, std::uint64_t references);
  void drop_if_unused(Node& node);
  std::size_t count() const { return nodes_.size(); }

 private:
  NodeId id_of(const cache::Inode& inode) const;

  void let_go(Node& node);

  cache::WriteBack& write_back_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Node>> nodes_;
};

}  // namespace lafs::fs
