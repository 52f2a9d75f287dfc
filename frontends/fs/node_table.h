// SPDX-License-Identifier: Apache-2.0
#pragma once

// The nodes that somebody knows: referenced by a frontend, open, being worked on, or dirty. Decides
// who lives and who is dropped; knows nothing of the grid's formats. I/O thread only.
//
// Invariants: a node with a name is in its parent's `children` under that name, and keeps its
// parent alive. A node is dropped when it has no reference, no open handle, no pin, no living child
// and nothing that still must reach the grid.

#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "cache/cached_client.h"
#include "cache/staging.h"
#include "frontends/fs/types.h"

namespace lafs::fs {

struct Node {
  NodeId id;
  Kind kind = Kind::file;
  Node* parent = nullptr;  // null: the root, or a node that lost its name
  std::string name;
  std::map<std::string, Node*, std::less<>> children;  // living ones only
  // Numbers already shown for names of this directory, so that readdir and stat agree.
  std::unordered_map<std::string, NodeId> child_ids;

  std::uint64_t references = 0;
  std::uint64_t opens = 0;
  std::uint64_t pins = 0;

  // Content. `cap` is what the grid has; a new file has none until it is stored the first time.
  std::optional<cache::Cap> cap;
  bool on_grid = false;  // its entry in the parent is published, or on its way
  cache::PosixFacts facts;
  cache::Metadata metadata;  // all of the entry's, other programs' keys included
  std::uint64_t size = 0;    // of `cap`; a staged file knows better

  // Changes that are not on the grid yet.
  std::unique_ptr<cache::StagedFile> staged;
  std::optional<cache::Cap> staged_over;  // where the staged file's missing bytes come from
  std::uint64_t stored_version = 0;       // of `staged`: what `cap` holds
  bool facts_changed = false;
  bool storing = false;             // one store() at a time
  std::optional<Error> stuck;       // why the last store() failed
  std::optional<cache::Cap> shown;  // content at the last open: unchanged means kernel caches hold

  std::shared_ptr<cache::CachedDirectory> directory;  // for directories, once used
  std::optional<timespec> directory_changed;          // newest change of its entries through us

  bool content_changed() const { return staged && staged->version() != stored_version; }
  bool dirty() const {
    return content_changed() || facts_changed || (kind == Kind::file && parent && !on_grid);
  }
  std::uint64_t current_size() const { return staged ? staged->size() : size; }
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

  NodeTable();

  Node& root() { return *find(root_node); }
  Node* find(NodeId id);
  // Errc::bad_handle when there is no such node.
  Result<Pin> pin(NodeId id);
  Pin pin(Node& node) { return Pin(this, &node); }

  // A new node without a name. Give it a name or a pin before anything can suspend.
  Node& make(Kind kind, std::optional<NodeId> id = std::nullopt);
  // The number that a name of this directory has or will have.
  NodeId id_for(Node& parent, const std::string& name);
  void attach(Node& node, Node& parent, const std::string& name);
  void detach(Node& node);  // takes the name away; does not drop the node
  // Gives `node` another name, its number with it.
  void move(Node& node, Node& parent, const std::string& name);

  void forget(NodeId id, std::uint64_t references);
  void drop_if_unused(Node& node);
  std::size_t count() const { return nodes_.size(); }
  std::vector<Node*> dirty_nodes();

 private:
  std::unordered_map<std::uint64_t, std::unique_ptr<Node>> nodes_;
  std::uint64_t next_id_ = root_node.value + 1;
};

}  // namespace lafs::fs
