// SPDX-License-Identifier: Apache-2.0

// GridFs: names, directories and attributes.

#include "cache/health.h"
#include "frontends/fs/facts.h"
#include "frontends/fs/grid_fs.h"

namespace lafs::fs {

namespace {

// A name as the grid will have it: checked, and in Unicode's composed form (spec/mutable 8.2).
Result<> store_form(std::string& name) {
  TRY_DO(check_name(name));
  TRY(normal, grid::normalise_name(name));
  name = std::move(normal);
  return {};
}

bool is_below(const Node& node, const Node& ancestor) {
  for (auto* at = &node; at; at = at->parent)
    if (at == &ancestor) return true;
  return false;
}

// What the tree needs to know of an inode, to be changed.
cache::Inode copy_of(const cache::Inode& inode) {
  cache::Inode out;
  out.number = inode.number;
  out.directory = inode.directory;
  out.parent = inode.parent;
  out.name = inode.name;
  out.cap = inode.cap;
  out.facts = inode.facts;
  out.other = inode.other;
  return out;
}

}  // namespace

Result<> GridFs::check_writable() const {
  if (options_.read_only) return fail(Errc::read_only, "the filesystem is mounted read-only");
  if (closing_) return fail(Errc::closed, "the filesystem is being unmounted");
  return {};
}

// ------------------------------------------------------------------------- what is there

Task<Result<>> GridFs::open_directory_of(Node& node) {
  if (node.kind() != Kind::directory) co_return fail(Errc::not_directory, node.name);
  if (!node.directory && node.inode->cap) {
    auto found = co_await client_.directory(*node.inode->cap);
    if (!found) co_return std::unexpected(std::move(found).error());
    node.directory = std::move(*found);
  }
  co_return Result<>{};
}

Task<Result<cache::CachedDirectory*>> GridFs::directory_of(Node& node) {
  CO_TRY_DO(co_await open_directory_of(node));
  auto directory = node.directory;
  if (directory) CO_TRY_DO(co_await directory->refresh());
  co_return directory.get();
}

Task<Result<cache::CachedDirectory*>> GridFs::writable_directory_of(Node& node) {
  CO_TRY_DO(check_writable());
  CO_TRY_DO(co_await open_directory_of(node));
  auto directory = node.directory;
  if (directory) {
    if (!directory->was_read()) CO_TRY_DO(co_await directory->refresh());
    if (!directory->writable()) co_return fail(Errc::read_only, "directory " + node.name);
  }
  // A directory that was removed takes no new names.
  if (!node.parent && node.id != root_node) co_return fail(Errc::not_found, node.name);
  co_return directory.get();
}

std::optional<cache::Cap> GridFs::base_at(const Node& parent, const std::string& name) {
  if (!parent.directory) return std::nullopt;
  auto child = parent.directory->find(name);
  if (!child) return std::nullopt;
  return std::move(child->cap);
}

std::optional<cache::Cap> GridFs::base_of(const Node& node) const {
  if (!node.parent) return std::nullopt;
  return base_at(*node.parent, node.name);
}

void GridFs::adopt(Node& node, const cache::Child& child) {
  auto& inode = *node.inode;
  inode.directory = child.cap.is_directory();
  if (!inode.kept || !write_back_.tree().pending(inode.parent, inode.name)) {
    auto facts = facts_of(child);
    const bool same = facts == inode.facts;
    if (!same) inode.facts = std::move(facts);
    inode.other = others_metadata(child);
    if (!same && node.references > 0) observers_.node_changed(node.id, false);
  }
  if (inode.staged || inode.content) return;  // what we have here is newer, or the same
  if (inode.cap && *inode.cap == child.cap) return;
  const bool changed = inode.cap.has_value();
  inode.cap = child.cap;
  node.shown = false;
  inode.size = size_of(child.cap);
  if (inode.directory) node.directory = nullptr;
  if (changed && node.references > 0) observers_.node_changed(node.id, true);
}

// The node of an inode that the tree says is here.
Node& GridFs::node_for(Node& parent, cache::InodePtr inode) {
  auto living = parent.children.find(inode->name);
  if (living != parent.children.end()) {
    if (living->second->inode == inode) return *living->second;
    auto gone = nodes_.pin(*living->second);
    lose_name(*gone);
  }
  const auto name = inode->name;
  auto* known = nodes_.of(*inode);
  if (known) {
    nodes_.move(*known, parent, name);
    return *known;
  }
  auto& node = nodes_.make(std::move(inode));
  nodes_.attach(node, parent, name);
  return node;
}

Result<Node*> GridFs::node_at(Node& parent, const cache::CachedDirectory* directory,
                              const std::string& name) {
  auto& tree = write_back_.tree();
  const auto number = parent.inode->number;
  const auto* pending = tree.pending(number, name);
  if (pending && !pending->facts_only) {
    auto inode = pending->node ? tree.share(pending->node) : nullptr;
    if (!inode) return fail(Errc::not_found, name);
    return &node_for(parent, std::move(inode));
  }
  std::optional<cache::Child> child;
  if (directory) child = directory->find(name);
  auto living = parent.children.find(name);
  if (living != parent.children.end()) {
    auto& node = *living->second;
    if (child && kind_of(*child) == node.kind()) {
      adopt(node, *child);
      return &node;
    }
    // Somebody else removed it, or put another kind of thing there.
    auto gone = nodes_.pin(node);
    lose_name(node);
    observers_.entry_changed(parent.id, name, node.id);
  }
  if (!child) return fail(Errc::not_found, name);
  auto inode = tree.make(tree.number_for(number, name));
  inode->parent = number;
  inode->name = name;
  auto& node = node_for(parent, std::move(inode));
  adopt(node, *child);
  return &node;
}

void GridFs::lose_name(Node& node) {
  nodes_.detach(node);
  auto& inode = *node.inode;
  if (inode.kept && inode.named()) return;
  write_back_.tree().retire(inode.number);
  inode.parent = 0;
  inode.name.clear();
}

// Another writer's content got the name, and ours was put beside it.
void GridFs::renamed_by_merge(cache::InodeNo directory, const std::string& from,
                              cache::Inode& inode) {
  auto* parent =
      directory == nodes_.root().inode->number ? &nodes_.root() : nodes_.find(NodeId{directory});
  if (!parent) return;
  if (auto* node = nodes_.of(inode)) nodes_.move(*node, *parent, inode.name);
  observers_.entry_changed(parent->id, from);
  observers_.entry_changed(parent->id, inode.name);
}

Task<Result<Attributes>> GridFs::lookup(NodeId parent_id, std::string name) {
  CO_TRY_DO(store_form(name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(directory, co_await directory_of(*parent));
  CO_TRY(node, node_at(*parent, directory, name));
  auto pin = nodes_.pin(*node);
  CO_TRY_DO(co_await learn_size(*pin));
  ++pin->references;
  co_return attributes_of(*pin);
}

void GridFs::forget(NodeId node, std::uint64_t references) { nodes_.forget(node, references); }

Task<Result<Attributes>> GridFs::attributes(NodeId id) {
  CO_TRY(node, nodes_.pin(id));
  if (node->parent && !node->inode->content) {
    // Somebody else may have changed it: as fresh as its directory. A grid that is away does not
    // take away what is known.
    auto parent = nodes_.pin(*node->parent);
    auto directory = co_await directory_of(*parent);
    const auto& tree = write_back_.tree();
    if (directory && *directory && node->parent == &*parent) {
      const auto* pending = tree.pending(parent->inode->number, node->name);
      if (!pending || pending->facts_only) {
        auto child = (*directory)->find(node->name);
        if (child && kind_of(*child) == node->kind()) adopt(*node, *child);
      }
    }
  }
  CO_TRY_DO(co_await learn_size(*node));
  co_return attributes_of(*node);
}

// ------------------------------------------------------------------------- attributes

Result<> GridFs::change_facts(Node& node, cache::PosixFacts facts) {
  auto& inode = *node.inode;
  // The root has no entry anywhere that could keep them: they last as long as the mount. What has
  // no name any more has none either.
  if (!node.parent) {
    inode.facts = std::move(facts);
    return {};
  }
  auto wanted = copy_of(inode);
  wanted.facts = std::move(facts);
  return write_back_.commit(write_back_.tree().put(wanted, base_of(node), true));
}

Task<Result<Attributes>> GridFs::change(NodeId id, Changes changes, std::optional<HandleId>) {
  CO_TRY_DO(check_writable());
  CO_TRY(node, nodes_.pin(id));
  if (node->parent) {
    auto parent = nodes_.pin(*node->parent);
    CO_TRY_DO(co_await writable_directory_of(*parent));
  }
  const auto now = wall_clock_now();
  if (changes.size) {
    if (node->kind() == Kind::directory) co_return fail(Errc::is_directory, node->name);
    if (!node->file()) co_return fail(Errc::bad_argument, node->name);
    CO_TRY_DO(co_await set_size(*node, *changes.size));
  }
  auto facts = node->inode->facts;
  if (changes.mode) facts.mode = *changes.mode & 07777;
  if (changes.uid) facts.uid = *changes.uid;
  if (changes.gid) facts.gid = *changes.gid;
  if (changes.accessed_now) changes.accessed = now;
  if (changes.modified_now) changes.modified = now;
  if (changes.accessed) facts.atime = *changes.accessed;
  if (changes.modified) {
    facts.mtime = *changes.modified;
    node->directory_changed.reset();
  }
  facts.ctime = now;
  CO_TRY_DO(change_facts(*node, std::move(facts)));
  co_return attributes_of(*node);
}

void GridFs::touch_directory(Node& node) { node.directory_changed = wall_clock_now(); }

// ------------------------------------------------------------------------- new names

// In a set-gid directory it belongs to the directory's group, and directories pass that on.
cache::InodePtr GridFs::new_inode(Node& parent, const std::string& name, Kind kind,
                                  std::uint32_t mode, Caller caller) {
  auto& tree = write_back_.tree();
  auto inode = tree.make(tree.number_for(parent.inode->number, name, true));
  inode->directory = kind == Kind::directory;
  inode->parent = parent.inode->number;
  inode->name = name;
  const auto above = attributes_of(parent);
  const bool inherited = above.mode & 02000;
  auto& facts = inode->facts;
  facts.kind = stored_kind(kind);
  facts.mode = (mode & 07777) | (inherited && kind == Kind::directory ? 02000 : 0);
  facts.uid = caller.uid;
  facts.gid = inherited ? above.gid : caller.gid;
  facts.ctime = wall_clock_now();
  return inode;
}

Result<Node*> GridFs::add(Node& parent, cache::InodePtr inode) {
  auto& tree = write_back_.tree();
  auto done = write_back_.commit(tree.put(*inode, base_at(parent, inode->name), false));
  if (!done) {
    inode->parent = 0;
    tree.release(std::move(inode));
    return std::unexpected(std::move(done).error());
  }
  touch_directory(parent);
  return &node_for(parent, std::move(inode));
}

Task<Result<Attributes>> GridFs::add_entry(NodeId parent_id, std::string name, Kind kind,
                                           std::optional<cache::Cap> cap, std::uint32_t mode,
                                           Caller caller) {
  CO_TRY_DO(store_form(name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(directory, co_await writable_directory_of(*parent));
  if (node_at(*parent, directory, name)) co_return fail(Errc::exists, name);
  auto inode = new_inode(*parent, name, kind, mode, caller);
  inode->cap = std::move(cap);
  if (inode->cap) inode->size = size_of(*inode->cap);
  inode->facts.mtime = inode->facts.ctime;
  CO_TRY(node, add(*parent, std::move(inode)));
  ++node->references;
  co_return attributes_of(*node);
}

Task<Result<Attributes>> GridFs::mkdir(NodeId parent, std::string name, std::uint32_t mode,
                                       Caller caller) {
  co_return co_await add_entry(parent, name, Kind::directory, std::nullopt, mode, caller);
}

Task<Result<Attributes>> GridFs::symlink(NodeId parent, std::string name, std::string target,
                                         Caller caller) {
  if (target.empty()) co_return fail(Errc::not_found, name);
  if (target.size() > 4095) co_return fail(Errc::name_too_long, name);
  // A reader that does not know about symbolic links sees a small file with the target's path.
  auto cap = cache::Cap(grid::LitCap{to_bytes(target)});
  co_return co_await add_entry(parent, name, Kind::symlink, cap, 0777, caller);
}

Task<Result<Attributes>> GridFs::mknod(NodeId parent, std::string name, Kind kind,
                                       std::uint32_t mode, Caller caller) {
  if (kind == Kind::directory || kind == Kind::symlink) co_return fail(Errc::bad_argument, name);
  auto cap = cache::Cap(grid::LitCap{});
  co_return co_await add_entry(parent, name, kind, cap, mode, caller);
}

Task<Result<std::string>> GridFs::readlink(NodeId id) {
  CO_TRY(node, nodes_.pin(id));
  if (node->kind() != Kind::symlink) co_return fail(Errc::bad_argument, node->name);
  auto* literal = node->inode->cap->as<grid::LitCap>();
  if (!literal) co_return fail(Errc::corrupt, node->name);
  co_return to_text(literal->data);
}

// ------------------------------------------------------------------------- names that go

Result<> GridFs::remove_entry(Node& parent, Node& node) {
  nodes_.keep_content(node);
  TRY_DO(write_back_.commit(write_back_.tree().remove(*node.inode, base_of(node))));
  lose_name(node);
  touch_directory(parent);
  return {};
}

Task<Result<>> GridFs::unlink(NodeId parent_id, std::string name) {
  CO_TRY_DO(store_form(name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(directory, co_await writable_directory_of(*parent));
  CO_TRY(found, node_at(*parent, directory, name));
  auto node = nodes_.pin(*found);
  if (node->kind() == Kind::directory) co_return fail(Errc::is_directory, name);
  co_return remove_entry(*parent, *node);
}

Task<Result<>> GridFs::check_empty(Node& node) {
  auto found = co_await directory_of(node);
  if (!found) {
    // What nobody can read any more is not to be there for ever.
    bool lost = false;
    const auto why = found.error().code;
    if (node.inode->cap) lost = co_await cache::lost(client_.client(), *node.inode->cap, why);
    if (!lost) co_return std::unexpected(std::move(found).error());
    found = nullptr;
  }
  auto* directory = *found;
  const auto& tree = write_back_.tree();
  const auto number = node.inode->number;
  if (const auto* names = tree.pending_in(number))
    for (const auto& [name, pending] : *names)
      if (pending.node && !pending.facts_only) co_return fail(Errc::not_empty, node.name);
  if (directory) {
    for (const auto& child : directory->children()) {
      const auto* pending = tree.pending(number, child.name);
      if (!pending || pending->node) co_return fail(Errc::not_empty, node.name);
    }
  }
  co_return Result<>{};
}

Task<Result<>> GridFs::rmdir(NodeId parent_id, std::string name) {
  CO_TRY_DO(store_form(name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(directory, co_await writable_directory_of(*parent));
  CO_TRY(found, node_at(*parent, directory, name));
  auto node = nodes_.pin(*found);
  if (node->kind() != Kind::directory) co_return fail(Errc::not_directory, name);
  CO_TRY_DO(co_await check_empty(*node));
  if (node->parent != &*parent || node->name != name) co_return fail(Errc::not_found, name);
  co_return remove_entry(*parent, *node);
}

Task<Result<>> GridFs::check_replaceable(Node& source, Node& target) {
  if (source.kind() == Kind::directory && target.kind() != Kind::directory)
    co_return fail(Errc::not_directory, target.name);
  if (source.kind() != Kind::directory && target.kind() == Kind::directory)
    co_return fail(Errc::is_directory, target.name);
  if (target.kind() == Kind::directory) co_return co_await check_empty(target);
  co_return Result<>{};
}

Result<> GridFs::exchange(Node& a, Node& b) {
  auto& parent_a = *a.parent;
  auto& parent_b = *b.parent;
  auto keep_a = nodes_.pin(parent_a);
  auto keep_b = nodes_.pin(parent_b);
  const auto name_a = a.name, name_b = b.name;
  TRY_DO(
      write_back_.commit(write_back_.tree().exchange(*a.inode, *b.inode, base_of(a), base_of(b))));
  nodes_.detach(a);
  nodes_.detach(b);
  nodes_.attach(a, parent_b, name_b);
  nodes_.attach(b, parent_a, name_a);
  touch_directory(parent_a);
  touch_directory(parent_b);
  return {};
}

Task<Result<>> GridFs::rename(NodeId parent_id, std::string name, NodeId new_parent_id,
                              std::string new_name, RenameMode mode) {
  CO_TRY_DO(store_form(name));
  CO_TRY_DO(store_form(new_name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(new_parent, nodes_.pin(new_parent_id));
  CO_TRY(directory, co_await writable_directory_of(*parent));
  CO_TRY(new_directory, co_await writable_directory_of(*new_parent));
  CO_TRY(found, node_at(*parent, directory, name));
  auto source = nodes_.pin(*found);
  if (source->kind() == Kind::directory && is_below(*new_parent, *source))
    co_return fail(Errc::bad_argument, "a directory cannot be moved below itself");

  std::optional<NodeTable::Pin> target;
  if (auto there = node_at(*new_parent, new_directory, new_name)) {
    if (mode == RenameMode::no_replace) co_return fail(Errc::exists, new_name);
    target.emplace(nodes_.pin(**there));
    if (&**target == &*source) co_return Result<>{};
    if (mode == RenameMode::exchange) {
      if ((*target)->kind() == Kind::directory && is_below(*parent, **target))
        co_return fail(Errc::bad_argument, "a directory cannot be moved below itself");
      co_return exchange(*source, **target);
    }
    CO_TRY_DO(co_await check_replaceable(*source, **target));
    // Everything may have moved while we waited.
    if (source->parent != &*parent || source->name != name) co_return fail(Errc::not_found, name);
    if ((*target)->parent != &*new_parent || (*target)->name != new_name)
      co_return fail(Errc::busy, new_name + " changed while it was to be replaced");
  } else if (mode == RenameMode::exchange) {
    co_return fail(Errc::not_found, new_name);
  }

  auto moved = copy_of(*source->inode);
  moved.parent = new_parent->inode->number;
  moved.name = new_name;
  moved.facts.ctime = wall_clock_now();
  if (target) nodes_.keep_content(**target);
  const auto* replaced = target ? (*target)->inode.get() : nullptr;
  CO_TRY_DO(write_back_.commit(write_back_.tree().rename(
      *source->inode, moved, base_of(*source), base_at(*new_parent, new_name), replaced)));
  if (target) lose_name(**target);
  nodes_.move(*source, *new_parent, new_name);
  touch_directory(*parent);
  touch_directory(*new_parent);
  co_return Result<>{};
}

}  // namespace lafs::fs
