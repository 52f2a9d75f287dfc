// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/node_table.h"

namespace lafs::fs {

NodeTable::NodeTable() {
  auto root = std::make_unique<Node>();
  root->id = root_node;
  root->kind = Kind::directory;
  root->on_grid = true;
  nodes_.emplace(root_node.value, std::move(root));
}

Node* NodeTable::find(NodeId id) {
  auto it = nodes_.find(id.value);
  return it == nodes_.end() ? nullptr : it->second.get();
}

Result<NodeTable::Pin> NodeTable::pin(NodeId id) {
  auto* node = find(id);
  if (!node) return fail(Errc::bad_handle, "node " + std::to_string(id.value));
  return Pin(this, node);
}

Node& NodeTable::make(Kind kind, std::optional<NodeId> id) {
  auto node = std::make_unique<Node>();
  node->id = id ? *id : NodeId{next_id_++};
  node->kind = kind;
  return *nodes_.emplace(node->id.value, std::move(node)).first->second;
}

NodeId NodeTable::id_for(Node& parent, const std::string& name) {
  auto [it, is_new] = parent.child_ids.try_emplace(name, NodeId{next_id_});
  if (is_new) ++next_id_;
  return it->second;
}

void NodeTable::attach(Node& node, Node& parent, const std::string& name) {
  node.parent = &parent;
  node.name = name;
  parent.children[name] = &node;
  parent.child_ids[name] = node.id;
}

void NodeTable::detach(Node& node) {
  if (!node.parent) return;
  auto& parent = *std::exchange(node.parent, nullptr);
  parent.children.erase(node.name);
  parent.child_ids.erase(node.name);
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
  // What lost its name need not reach the grid any more.
  if (node.parent && node.dirty()) return;
  auto* parent = node.parent;
  if (parent) parent->children.erase(node.name);  // the number stays with the name
  nodes_.erase(node.id.value);
  if (parent) drop_if_unused(*parent);
}

std::vector<Node*> NodeTable::dirty_nodes() {
  std::vector<Node*> out;
  for (auto& [id, node] : nodes_)
    if (node->parent && node->dirty()) out.push_back(node.get());
  return out;
}

}  // namespace lafs::fs
