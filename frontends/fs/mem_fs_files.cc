// SPDX-License-Identifier: Apache-2.0
// Handles: content and listings. Extended attributes.
#include <limits>

#include "frontends/fs/mem_fs.h"
#include "frontends/fs/mem_fs_node.h"

namespace lafs::fs {

namespace {

constexpr std::uint64_t largest_file = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t largest_xattr = 64 * 1024;

bool earlier(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

}  // namespace

Result<> MemFs::resize(Node& node, std::uint64_t size) {
  if (node.is_directory()) return fail(Errc::is_directory);
  if (node.attributes.kind != Kind::file) return fail(Errc::bad_argument, "not a file");
  if (size > largest_file) return fail(Errc::too_large);
  stored_ -= node.content.stored();
  node.content.resize(size);
  stored_ += node.content.stored();
  node.attributes.size = size;
  node.modified(now());
  return {};
}

Opened MemFs::open_node(Node& node, OpenFlags flags) {
  const HandleId id{next_handle_++};
  handles_.emplace(id.value, Handle{&node, flags});
  ++node.opens;
  return {id, node.attributes, options_.immutable_content && !flags.write};
}

Task<Result<Opened>> MemFs::open(NodeId id, OpenFlags flags) {
  co_await pause();
  CO_TRY(node, find(id));
  if (node->is_directory()) co_return fail(Errc::is_directory);
  if (node->attributes.kind == Kind::symlink) co_return fail(Errc::symlink_loop);
  if (node->attributes.kind != Kind::file) co_return fail(Errc::unsupported, "not a file");
  if (flags.write || flags.truncate) CO_TRY_DO(may_change());
  if (flags.truncate) CO_TRY_DO(resize(*node, 0));
  co_return open_node(*node, flags);
}

Task<Result<Opened>> MemFs::create(NodeId parent, std::string name, std::uint32_t mode,
                                   OpenFlags flags, bool exclusive, Caller caller) {
  co_await pause();
  CO_TRY(directory, find_directory(parent));
  CO_TRY_DO(check_name(name));
  auto* node = child(*directory, name);
  if (!node) {
    CO_TRY(fresh, add(parent, name, Kind::file, mode, caller));
    co_return open_node(*fresh, flags);
  }
  if (exclusive) co_return fail(Errc::exists, name);
  if (node->is_directory()) co_return fail(Errc::is_directory, name);
  if (node->attributes.kind == Kind::symlink) co_return fail(Errc::symlink_loop, name);
  if (node->attributes.kind != Kind::file) co_return fail(Errc::unsupported, "not a file");
  if (flags.write || flags.truncate) CO_TRY_DO(may_change());
  if (flags.truncate) CO_TRY_DO(resize(*node, 0));
  ++node->references;
  co_return open_node(*node, flags);
}

Task<Result<Bytes>> MemFs::read(HandleId id, std::uint64_t offset, std::uint32_t size) {
  co_await pause();
  CO_TRY(handle, find_handle(id));
  if (!handle->flags.read) co_return fail(Errc::bad_handle, "not open for reading");
  auto& times = handle->node->attributes.times;
  // As relatime: the first read after a change is worth remembering, the others are not.
  if (!options_.read_only && !earlier(times.modified, times.accessed)) times.accessed = now();
  co_return handle->node->content.read(offset, size);
}

Task<Result<>> MemFs::write(HandleId id, std::uint64_t offset, ByteView data) {
  co_await pause();
  CO_TRY(handle, find_handle(id));
  if (!handle->flags.write) co_return fail(Errc::bad_handle, "not open for writing");
  auto& node = *handle->node;
  if (handle->flags.append) offset = node.content.size();
  if (offset > largest_file || data.size() > largest_file - offset) co_return fail(Errc::too_large);
  if (data.empty()) co_return Result<>{};
  const auto growth = node.content.growth(offset, data.size());
  if (growth > 0 && stored_ + growth > options_.capacity) co_return fail(Errc::no_space);
  node.content.write(offset, data);
  stored_ += growth;
  node.attributes.size = node.content.size();
  node.modified(now());
  co_return Result<>{};
}

Task<Result<>> MemFs::flush(HandleId id) {
  co_await pause();
  CO_TRY_DO(find_handle(id));
  co_return Result<>{};
}

Task<Result<>> MemFs::fsync(HandleId id, bool) {
  co_await pause();
  CO_TRY_DO(find_handle(id));
  co_return Result<>{};
}

Task<> MemFs::release(HandleId id) {
  co_await pause();
  const auto it = handles_.find(id.value);
  if (it == handles_.end()) co_return;
  auto& node = *it->second.node;
  handles_.erase(it);
  --node.opens;
  drop_if_unused(node);
}

Task<Result<HandleId>> MemFs::open_directory(NodeId id) {
  co_await pause();
  CO_TRY(node, find_directory(id));
  co_return open_node(*node, {}).handle;
}

Task<Result<std::vector<DirectoryEntry>>> MemFs::read_directory(HandleId id, std::uint64_t after,
                                                                std::size_t max, bool reference) {
  co_await pause();
  CO_TRY(handle, find_handle(id));
  if (!handle->node->is_directory()) co_return fail(Errc::not_directory);
  const auto& entries = handle->node->entries;
  std::vector<DirectoryEntry> out;
  for (auto it = entries.upper_bound(after); it != entries.end() && out.size() < max; ++it) {
    if (reference) ++it->second.node->references;
    out.push_back({it->second.name, it->first, it->second.node->attributes});
  }
  co_return out;
}

Task<> MemFs::close_directory(HandleId id) { return release(id); }

Task<Result<>> MemFs::sync_directory(NodeId id) {
  co_await pause();
  CO_TRY_DO(find_directory(id));
  co_return Result<>{};
}

Task<Result<SpaceInfo>> MemFs::space() {
  co_await pause();
  SpaceInfo info;
  info.total = options_.capacity;
  info.available = options_.capacity - std::min(stored_, options_.capacity);
  info.files = nodes_.size();
  info.files_free = 1ull << 32;
  co_return info;
}

Task<Result<Bytes>> MemFs::xattr(NodeId id, std::string name) {
  co_await pause();
  CO_TRY(node, find(id));
  const auto it = node->xattrs.find(name);
  if (it == node->xattrs.end()) co_return fail(Errc::no_attribute, name);
  co_return it->second;
}

Task<Result<std::vector<std::string>>> MemFs::xattr_names(NodeId id) {
  co_await pause();
  CO_TRY(node, find(id));
  std::vector<std::string> names;
  for (const auto& [name, value] : node->xattrs) names.push_back(name);
  co_return names;
}

Task<Result<>> MemFs::set_xattr(NodeId id, std::string name, Bytes value, XattrMode mode) {
  co_await pause();
  CO_TRY(node, find(id));
  CO_TRY_DO(may_change());
  if (name.empty()) co_return fail(Errc::bad_argument, "an empty attribute name");
  if (name.size() > 255) co_return fail(Errc::name_too_long, "attribute name");
  if (value.size() > largest_xattr) co_return fail(Errc::no_space, name);
  const bool there = node->xattrs.contains(name);
  if (mode == XattrMode::create && there) co_return fail(Errc::exists, name);
  if (mode == XattrMode::replace && !there) co_return fail(Errc::no_attribute, name);
  node->xattrs[name] = std::move(value);
  node->attributes.times.changed = now();
  co_return Result<>{};
}

Task<Result<>> MemFs::remove_xattr(NodeId id, std::string name) {
  co_await pause();
  CO_TRY(node, find(id));
  CO_TRY_DO(may_change());
  if (node->xattrs.erase(name) == 0) co_return fail(Errc::no_attribute, name);
  node->attributes.times.changed = now();
  co_return Result<>{};
}

Task<Result<>> MemFs::close() {
  co_await pause();
  closed_ = true;
  co_return Result<>{};
}

}  // namespace lafs::fs
