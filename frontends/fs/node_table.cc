// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/node_table.h"

#include "frontends/fs/facts.h"

namespace lafs::fs {

Kind Node::kind() const {
  return inode->directory ? Kind::directory : shown_kind(inode->facts.kind);
}

NodeTable::NodeTable(cache::WriteBack& write_back, const cache::Cap& root)
    : write_back_(write_back) {
  auto inode = write_back_.tree().make(cache::Tree::root_number(root));
  inode->directory = true;
  inode->cap = root;
  auto node = std::make_unique<Node>();
  node->id = root_node;
  node->inode = std::move(inode);
  nodes_.emplace(root_node.value, std::move(node));
}

NodeTable::~NodeTable() {
  for (auto& [id, node] : nodes_) let_go(*node);
}

void NodeTable::keep_content(Node& node) {
  if (!node.inode->content || node.holds_content) return;
  write_back_.hold(*node.inode);
  node.holds_content = true;
}

void NodeTable::let_go(Node& node) {
  if (node.holds_content) write_back_.let_go(*node.inode);
  write_back_.tree().release(std::move(node.inode));
}

NodeId NodeTable::id_of(const cache::Inode& inode) const {
  const auto& root = *nodes_.at(root_node.value);
  return root.inode.get() == &inode ? root_node : NodeId{inode.number};
}

Node* NodeTable::find(NodeId id) {
  auto it = nodes_.find(id.value);
  return it == nodes_.end() ? nullptr : it->second.get();
}

Node* NodeTable::of(const cache::Inode& inode) { return find(id_of(inode)); }

Result<NodeTable::Pin> NodeTable::pin(NodeId id) {
  auto* node = find(id);
  if (!node) return fail(Errc::bad_handle, "node " + std::to_string(id.value));
  return Pin(this, node);
}

Node& NodeTable::make(cache::InodePtr inode) {
  auto node = std::make_unique<Node>();
  node->id = NodeId{inode->number};
  node->inode = std::move(inode);
  return *nodes_.emplace(node->id.value, std::move(node)).first->second;
}

void NodeTable::attach(Node& node, Node& parent, const std::string& name) {
  node.parent = &parent;
  node.name = name;
  parent.children[name] = &node;
}

void NodeTable::detach(Node& node) {
  if (!node.parent) return;
  auto& parent = *std::exchange(node.parent, nullptr);
  parent.children.erase(node.name);
  drop_if_unused(parent);
}

void NodeTable::move(Node& node, Node& parent, const std::string& name) {
  auto keep = pin(parent);
  detach(node);
  attach(node, parent, name);
}

void NodeTable::forget(NodeId id, std::uint64_t references) {
  auto* node = find(id);
  if (!node) return;
  node->references -= std::min(references, node->references);
  drop_if_unused(*node);
}

void NodeTable::drop_if_unused(Node& node) {
  if (node.id == root_node || node.references || node.opens || node.pins) return;
  if (!node.children.empty()) return;
  auto* parent = node.parent;
  if (parent) parent->children.erase(node.name);
  auto dropped = std::move(nodes_.at(node.id.value));
  nodes_.erase(node.id.value);
  let_go(*dropped);
  if (parent) drop_if_unused(*parent);
}

}  // namespace lafs::fs
