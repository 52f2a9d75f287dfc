// SPDX-License-Identifier: Apache-2.0

// GridFs: listing directories.

#include "frontends/fs/facts.h"
#include "frontends/fs/grid_fs.h"

namespace lafs::fs {

Task<Result<HandleId>> GridFs::open_directory(NodeId id) {
  CO_TRY(node, nodes_.pin(id));
  CO_TRY_DO(co_await directory_of(*node));
  ++node->opens;
  const HandleId handle{next_handle_++};
  directories_.emplace(handle, OpenDirectory{&*node, {}});
  co_return handle;
}

Task<Result<std::vector<DirectoryEntry>>> GridFs::read_directory(HandleId handle,
                                                                 std::uint64_t after,
                                                                 std::size_t max, bool reference) {
  auto it = directories_.find(handle);
  if (it == directories_.end()) co_return fail(Errc::bad_handle, "directory handle");
  auto parent = nodes_.pin(*it->second.node);
  CO_TRY(directory, co_await directory_of(*parent));
  it = directories_.find(handle);
  if (it == directories_.end()) co_return fail(Errc::bad_handle, "directory handle");
  auto& entries = it->second.entries;
  if (after == 0) {
    entries.clear();
    for (auto& child : directory->children()) {
      auto name = child.name;
      if (check_name(name)) entries.emplace_back(std::move(name), std::move(child));
    }
    for (auto& [name, node] : parent->children)
      if (!node->on_grid && !directory->find(name)) entries.emplace_back(name, std::nullopt);
  }
  std::vector<DirectoryEntry> out;
  for (auto i = after; i < entries.size() && out.size() < max; ++i) {
    auto& [name, child] = entries[i];
    DirectoryEntry entry;
    entry.name = name;
    entry.cookie = i + 1;
    auto living = parent->children.find(name);
    if (living == parent->children.end() && !reference && child) {
      // Only a number is needed: no node is made for it.
      Node shown;
      shown.kind = kind_of(*child);
      shown.id = nodes_.id_for(*parent, name);
      shown.parent = &*parent;
      adopt(shown, *child);
      entry.attributes = attributes_of(shown);
    } else {
      auto node = node_at(*parent, *directory, name);
      if (!node) continue;  // gone since the listing started
      auto pin = nodes_.pin(**node);
      if (auto size = co_await learn_size(*pin); !size) continue;
      if (reference) ++pin->references;
      entry.attributes = attributes_of(*pin);
    }
    out.push_back(std::move(entry));
  }
  co_return out;
}

Task<> GridFs::close_directory(HandleId handle) {
  auto it = directories_.find(handle);
  if (it != directories_.end()) {
    auto* node = it->second.node;
    directories_.erase(it);
    --node->opens;
    nodes_.drop_if_unused(*node);
  }
  co_return;
}

Task<Result<>> GridFs::sync_directory(NodeId id) {
  // Every change of a name has waited for the grid already; new files of the directory have not.
  CO_TRY(node, nodes_.pin(id));
  std::vector<NodeTable::Pin> fresh;
  for (auto& [name, child] : node->children)
    if (child->dirty()) fresh.push_back(nodes_.pin(*child));
  for (auto& child : fresh) CO_TRY_DO(co_await store(*child));
  co_return Result<>{};
}

}  // namespace lafs::fs
