// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/mem_fs.h"

#include "frontends/fs/mem_fs_node.h"

namespace lafs::fs {

namespace {

constexpr std::size_t longest_target = 4095;

}  // namespace

MemFs::MemFs() : MemFs(Options{}) {}

MemFs::MemFs(Options options) : options_(std::move(options)) {
  auto root = std::make_unique<Node>();
  const auto when = now();
  root->attributes = {.id = root_node,
                      .kind = Kind::directory,
                      .mode = options_.mode,
                      .uid = options_.uid,
                      .gid = options_.gid,
                      .links = 2,
                      .size = 0,
                      .times = {when, when, when}};
  nodes_.emplace(next_node_++, std::move(root));
}

MemFs::~MemFs() = default;

Task<> MemFs::pause() {
  if (options_.pause) co_await options_.pause();
}

timespec MemFs::now() const {
  if (options_.clock) return options_.clock();
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return t;
}

std::uint64_t MemFs::references() const {
  std::uint64_t sum = 0;
  for (const auto& [id, node] : nodes_) sum += node->references;
  return sum;
}

Result<MemFs::Node*> MemFs::find(NodeId id, std::optional<HandleId> through) {
  const auto it = nodes_.find(id.value);
  if (it == nodes_.end()) return fail(Errc::bad_handle, "node");
  Node* const node = it->second.get();
  if (node->references > 0 || id == root_node) return node;
  if (through) {
    if (const auto handle = handles_.find(through->value);
        handle != handles_.end() && handle->second.node == node)
      return node;
  }
  return fail(Errc::bad_handle, "node without a reference");
}

Result<MemFs::Node*> MemFs::find_directory(NodeId id) {
  TRY(node, find(id));
  if (!node->is_directory()) return fail(Errc::not_directory);
  return node;
}

Result<MemFs::Handle*> MemFs::find_handle(HandleId id) {
  const auto it = handles_.find(id.value);
  if (it == handles_.end()) return fail(Errc::bad_handle, "handle");
  return &it->second;
}

MemFs::Node* MemFs::child(Node& directory, const std::string& name) {
  const auto it = directory.cookies.find(name);
  return it == directory.cookies.end() ? nullptr : directory.entries.at(it->second).node;
}

Result<> MemFs::may_change() const {
  if (options_.read_only) return fail(Errc::read_only);
  return {};
}

void MemFs::drop_if_unused(Node& node) {
  if (node.attributes.links > 0 || node.references > 0 || node.opens > 0) return;
  stored_ -= node.content.stored();
  nodes_.erase(node.attributes.id.value);
}

// Puts `node` under `name`, which keeps its cookie when it is there already.
void MemFs::link(Node& directory, const std::string& name, Node& node) {
  const auto [it, fresh] = directory.cookies.try_emplace(name, directory.next_cookie);
  if (fresh) ++directory.next_cookie;
  directory.entries[it->second] = {name, &node};
  if (node.is_directory()) {
    node.parent = &directory;
    ++directory.attributes.links;
  }
}

void MemFs::unlink_entry(Node& directory, const std::string& name) {
  const auto it = directory.cookies.find(name);
  const auto entry = directory.entries.find(it->second);
  if (entry->second.node->is_directory()) --directory.attributes.links;
  directory.entries.erase(entry);
  directory.cookies.erase(it);
}

void MemFs::lose_name(Node& node, const timespec& when) {
  node.attributes.links = node.is_directory() ? 0 : node.attributes.links - 1;
  node.attributes.times.changed = when;
  node.parent = nullptr;
  drop_if_unused(node);
}

Result<MemFs::Node*> MemFs::add(NodeId parent, const std::string& name, Kind kind,
                                std::uint32_t mode, Caller caller) {
  TRY(directory, find_directory(parent));
  TRY_DO(check_name(name));
  TRY_DO(may_change());
  if (directory->attributes.links == 0) return fail(Errc::not_found, "the directory was removed");
  if (child(*directory, name)) return fail(Errc::exists, name);
  auto fresh = std::make_unique<Node>();
  auto* const node = fresh.get();
  const auto when = now();
  node->attributes = {.id = {next_node_++},
                      .kind = kind,
                      .mode = mode & 07777,
                      .uid = caller.uid,
                      .gid = caller.gid,
                      .links = kind == Kind::directory ? 2u : 1u,
                      .size = 0,
                      .times = {when, when, when}};
  if (directory->attributes.mode & 02000) {  // what is made in a set-gid directory is its group's
    node->attributes.gid = directory->attributes.gid;
    if (kind == Kind::directory) node->attributes.mode |= 02000;
  }
  nodes_.emplace(node->attributes.id.value, std::move(fresh));
  link(*directory, name, *node);
  directory->modified(when);
  ++node->references;
  return node;
}

bool MemFs::is_below(const Node& node, const Node& ancestor) const {
  for (const Node* n = &node; n; n = n->parent) {
    if (n == &ancestor) return true;
  }
  return false;
}

Task<Result<Attributes>> MemFs::lookup(NodeId parent, std::string name) {
  co_await pause();
  CO_TRY(directory, find_directory(parent));
  CO_TRY_DO(check_name(name));
  auto* const node = child(*directory, name);
  if (!node) co_return fail(Errc::not_found, name);
  ++node->references;
  co_return node->attributes;
}

void MemFs::forget(NodeId id, std::uint64_t references) {
  const auto it = nodes_.find(id.value);
  if (it == nodes_.end() || id == root_node) return;
  it->second->references -= std::min(references, it->second->references);
  drop_if_unused(*it->second);
}

Task<Result<Attributes>> MemFs::attributes(NodeId id) {
  co_await pause();
  CO_TRY(node, find(id));
  co_return node->attributes;
}

Task<Result<Attributes>> MemFs::change(NodeId id, Changes changes, std::optional<HandleId> handle) {
  co_await pause();
  CO_TRY(node, find(id, handle));
  CO_TRY_DO(may_change());
  if (changes.size) CO_TRY_DO(resize(*node, *changes.size));
  auto& a = node->attributes;
  const auto when = now();
  if (changes.mode) a.mode = *changes.mode & 07777;
  if (changes.uid) a.uid = *changes.uid;
  if (changes.gid) a.gid = *changes.gid;
  if (changes.accessed) a.times.accessed = *changes.accessed;
  if (changes.modified) a.times.modified = *changes.modified;
  if (changes.accessed_now) a.times.accessed = when;
  if (changes.modified_now) a.times.modified = when;
  a.times.changed = when;
  co_return a;
}

Task<Result<Attributes>> MemFs::mkdir(NodeId parent, std::string name, std::uint32_t mode,
                                      Caller caller) {
  co_await pause();
  CO_TRY(node, add(parent, name, Kind::directory, mode, caller));
  co_return node->attributes;
}

Task<Result<Attributes>> MemFs::symlink(NodeId parent, std::string name, std::string target,
                                        Caller caller) {
  co_await pause();
  if (target.empty()) co_return fail(Errc::not_found, "an empty link target");
  if (target.size() > longest_target) co_return fail(Errc::name_too_long, "link target");
  CO_TRY(node, add(parent, name, Kind::symlink, 0777, caller));
  node->attributes.size = target.size();
  node->target = std::move(target);
  co_return node->attributes;
}

Task<Result<Attributes>> MemFs::mknod(NodeId parent, std::string name, Kind kind,
                                      std::uint32_t mode, Caller caller) {
  co_await pause();
  if (kind != Kind::fifo && kind != Kind::socket) co_return fail(Errc::bad_argument, "mknod");
  CO_TRY(node, add(parent, name, kind, mode, caller));
  co_return node->attributes;
}

Task<Result<std::string>> MemFs::readlink(NodeId id) {
  co_await pause();
  CO_TRY(node, find(id));
  if (node->attributes.kind != Kind::symlink) co_return fail(Errc::bad_argument, "not a link");
  co_return node->target;
}

Result<> MemFs::remove(NodeId parent, const std::string& name, bool directory) {
  TRY(from, find_directory(parent));
  TRY_DO(check_name(name));
  TRY_DO(may_change());
  auto* const node = child(*from, name);
  if (!node) return fail(Errc::not_found, name);
  if (directory && !node->is_directory()) return fail(Errc::not_directory, name);
  if (!directory && node->is_directory()) return fail(Errc::is_directory, name);
  if (!node->entries.empty()) return fail(Errc::not_empty, name);
  unlink_entry(*from, name);
  const auto when = now();
  from->modified(when);
  lose_name(*node, when);
  return {};
}

Task<Result<>> MemFs::unlink(NodeId parent, std::string name) {
  co_await pause();
  co_return remove(parent, name, false);
}

Task<Result<>> MemFs::rmdir(NodeId parent, std::string name) {
  co_await pause();
  co_return remove(parent, name, true);
}

Task<Result<>> MemFs::rename(NodeId parent, std::string name, NodeId new_parent,
                             std::string new_name, RenameMode mode) {
  co_await pause();
  CO_TRY(from, find_directory(parent));
  CO_TRY(to, find_directory(new_parent));
  CO_TRY_DO(check_name(name));
  CO_TRY_DO(check_name(new_name));
  CO_TRY_DO(may_change());
  auto* const node = child(*from, name);
  if (!node) co_return fail(Errc::not_found, name);
  if (to->attributes.links == 0) co_return fail(Errc::not_found, "the directory was removed");
  auto* const target = child(*to, new_name);
  if (mode == RenameMode::no_replace && target) co_return fail(Errc::exists, new_name);
  if (mode == RenameMode::exchange && !target) co_return fail(Errc::not_found, new_name);
  if (target == node) co_return Result<>{};
  if (node->is_directory() && is_below(*to, *node)) co_return fail(Errc::bad_argument, name);
  const auto when = now();
  if (mode == RenameMode::exchange) {
    if (target->is_directory() && is_below(*from, *target)) {
      co_return fail(Errc::bad_argument, new_name);
    }
    if (target->is_directory()) --to->attributes.links;
    if (node->is_directory()) --from->attributes.links;
    link(*to, new_name, *node);
    link(*from, name, *target);
    target->attributes.times.changed = when;
  } else {
    if (target) {
      if (node->is_directory() && !target->is_directory()) {
        co_return fail(Errc::not_directory, new_name);
      }
      if (!node->is_directory() && target->is_directory()) {
        co_return fail(Errc::is_directory, new_name);
      }
      if (!target->entries.empty()) co_return fail(Errc::not_empty, new_name);
      if (target->is_directory()) --to->attributes.links;
    }
    unlink_entry(*from, name);
    link(*to, new_name, *node);
    if (target) lose_name(*target, when);
  }
  node->attributes.times.changed = when;
  from->modified(when);
  to->modified(when);
  co_return Result<>{};
}

}  // namespace lafs::fs
