// SPDX-License-Identifier: Apache-2.0

// GridFs: listing directories.

#include <algorithm>

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
  const auto number = parent->inode->number;
  const auto& tree = write_back_.tree();
  if (after == 0) {
    entries.clear();
    if (directory) {
      for (auto& child : directory->children()) {
        auto name = child.name;
        const auto* pending = tree.pending(number, name);
        if (pending && !pending->facts_only) continue;  // below
        if (check_name(name)) entries.emplace_back(std::move(name), std::move(child));
      }
    }
    const auto grid_names = static_cast<std::ptrdiff_t>(entries.size());
    if (const auto* names = tree.pending_in(number))
      for (const auto& [name, pending] : *names)
        if (pending.node && !pending.facts_only) entries.emplace_back(name, std::nullopt);
    std::inplace_merge(entries.begin(), entries.begin() + grid_names, entries.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  std::vector<DirectoryEntry> out;
  for (auto i = after; i < entries.size() && out.size() < max; ++i) {
    auto& [name, child] = entries[i];
    DirectoryEntry entry;
    entry.name = name;
    entry.cookie = i + 1;
    auto living = parent->children.find(name);
    if (living == parent->children.end() && !reference && child && !tree.pending(number, name)) {
      // Only a number is needed: no node is made for it.
      Node shown;
      shown.inode = std::make_shared<cache::Inode>();
      shown.inode->number = tree.number_for(number, name);
      shown.id = NodeId{shown.inode->number};
      shown.parent = &*parent;
      adopt(shown, *child);
      entry.attributes = attributes_of(shown);
    } else {
      auto node = node_at(*parent, directory, name);
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
  CO_TRY(node, nodes_.pin(id));
  CO_TRY_DO(co_await write_back_.sync());
  if (options_.fsync != Durability::grid) co_return Result<>{};
  using enum cache::WriteBack::OnError;
  co_return co_await write_back_.flush(node->inode->number, TimePoint::max(), give_up);
}

}  // namespace lafs::fs
