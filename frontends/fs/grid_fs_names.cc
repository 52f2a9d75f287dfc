// SPDX-License-Identifier: Apache-2.0

// GridFs: names, directories and attributes.

#include "frontends/fs/facts.h"
#include "frontends/fs/grid_fs.h"

namespace lafs::fs {

namespace {

grid::Edit remove_edit(const std::string& name) {
  return grid::Edit::Remove{.name = name, .must_exist = false};
}

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

}  // namespace

// The entry that a node wants to have under `name`.
grid::Edit GridFs::set_edit(const Node& node, const std::string& name) {
  auto metadata = node.metadata;
  metadata.set_posix(node.facts);
  return grid::Edit::Set{.name = name, .cap = *node.cap, .metadata = std::move(metadata)};
}

// Only what POSIX knows about the entry; its cap stays, whoever set it.
grid::Edit GridFs::facts_edit(const Node& node) {
  auto change = [facts = node.facts](cache::Metadata metadata) {
    metadata.set_posix(facts);
    return metadata;
  };
  return grid::Edit::SetMetadata{.name = node.name, .change = change};
}

Result<> GridFs::check_writable() const {
  if (options_.read_only) return fail(Errc::read_only, "the filesystem is mounted read-only");
  if (closing_) return fail(Errc::closed, "the filesystem is being unmounted");
  return {};
}

Task<Result<cache::CachedDirectory*>> GridFs::directory_of(Node& node) {
  if (node.kind != Kind::directory) co_return fail(Errc::not_directory, node.name);
  if (!node.directory) {
    auto found = co_await client_.directory(*node.cap);
    if (!found) co_return std::unexpected(std::move(found).error());
    node.directory = std::move(*found);
  }
  auto directory = node.directory;
  CO_TRY_DO(co_await directory->refresh());
  co_return directory.get();
}

Task<Result<cache::CachedDirectory*>> GridFs::writable_directory_of(Node& node) {
  CO_TRY_DO(check_writable());
  CO_TRY(directory, co_await directory_of(node));
  if (!directory->writable()) co_return fail(Errc::read_only, "directory " + node.name);
  // A directory that was removed takes no new names.
  if (!node.parent && node.id != root_node) co_return fail(Errc::not_found, node.name);
  co_return directory;
}

void GridFs::adopt(Node& node, const cache::Child& child) {
  node.on_grid = true;
  if (!node.facts_changed) node.facts = facts_of(child);
  node.metadata = child.metadata;
  if (node.staged) return;  // what we have here is newer, or the same
  if (!node.cap || *node.cap != child.cap) {
    node.cap = child.cap;
    node.size = size_of(child.cap);
    if (node.kind == Kind::directory) node.directory = nullptr;
  }
}

Result<Node*> GridFs::node_at(Node& parent, const cache::CachedDirectory& directory,
                              const std::string& name) {
  auto child = directory.find(name);
  auto living = parent.children.find(name);
  if (living != parent.children.end()) {
    auto& node = *living->second;
    if (!node.on_grid) return &node;  // ours, and new
    if (child && kind_of(*child) == node.kind) {
      adopt(node, *child);
      return &node;
    }
    // Somebody else removed it, or put another kind of thing there. Unsaved content goes back under
    // the name; everything else lost it.
    if (!child && node.content_changed()) {
      node.on_grid = false;
      return &node;
    }
    nodes_.detach(node);
    nodes_.drop_if_unused(node);
  }
  if (!child) {
    parent.child_ids.erase(name);
    return fail(Errc::not_found, name);
  }
  auto& node = nodes_.make(kind_of(*child), nodes_.id_for(parent, name));
  nodes_.attach(node, parent, name);
  adopt(node, *child);
  return &node;
}

Task<Result<Attributes>> GridFs::lookup(NodeId parent_id, std::string name) {
  CO_TRY_DO(store_form(name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(directory, co_await directory_of(*parent));
  CO_TRY(node, node_at(*parent, *directory, name));
  auto pin = nodes_.pin(*node);
  CO_TRY_DO(co_await learn_size(*pin));
  ++pin->references;
  co_return attributes_of(*pin);
}

void GridFs::forget(NodeId node, std::uint64_t references) { nodes_.forget(node, references); }

Task<Result<Attributes>> GridFs::attributes(NodeId id) {
  CO_TRY(node, nodes_.pin(id));
  if (node->parent && node->on_grid && !node->dirty()) {
    // Somebody else may have changed it: as fresh as its directory. A grid that is away does not
    // take away what is known.
    auto parent = nodes_.pin(*node->parent);
    auto directory = co_await directory_of(*parent);
    if (directory && node->parent == &*parent && !node->dirty()) {
      auto child = (*directory)->find(node->name);
      if (child && kind_of(*child) == node->kind) adopt(*node, *child);
    }
  }
  CO_TRY_DO(co_await learn_size(*node));
  co_return attributes_of(*node);
}

Task<Result<Attributes>> GridFs::change(NodeId id, Changes changes,
                                        std::optional<HandleId> handle) {
  CO_TRY_DO(check_writable());
  CO_TRY(node, nodes_.pin(id));
  const auto now = wall_clock_now();
  if (changes.size) {
    if (node->kind == Kind::directory) co_return fail(Errc::is_directory, node->name);
    if (node->kind != Kind::file) co_return fail(Errc::bad_argument, node->name);
    CO_TRY_DO(co_await set_size(*node, *changes.size));
  }
  auto& facts = node->facts;
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
  node->facts_changed = node->id != root_node;
  // Through an open file its next flush takes everything along; otherwise it is stored now. So are
  // changes of a file that nobody has open, and of everything that is not a file.
  const bool later = node->kind == Kind::file && node->opens > 0 && (handle || node->dirty()) &&
                     (node->content_changed() || !node->on_grid);
  if (!later && node->parent) CO_TRY_DO(co_await store(*node));
  co_return attributes_of(*node);
}

// Whose a new node is: in a set-gid directory its group's, and directories pass that on.
void GridFs::own(Node& node, const Node& parent, std::uint32_t mode, Caller caller) const {
  const auto above = attributes_of(parent);
  const bool inherited = above.mode & 02000;
  node.facts.mode = (mode & 07777) | (inherited && node.kind == Kind::directory ? 02000 : 0);
  node.facts.uid = caller.uid;
  node.facts.gid = inherited ? above.gid : caller.gid;
}

void GridFs::touch_directory(Node& node) { node.directory_changed = wall_clock_now(); }

Task<Result<Attributes>> GridFs::add_entry(NodeId parent_id, std::string name, Kind kind,
                                           cache::Cap cap, std::uint32_t mode, Caller caller) {
  CO_TRY_DO(store_form(name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(directory, co_await writable_directory_of(*parent));
  if (parent->children.contains(name) || directory->find(name)) {
    auto there = node_at(*parent, *directory, name);
    if (there) co_return fail(Errc::exists, name);
  }
  const auto now = wall_clock_now();
  auto node = nodes_.pin(nodes_.make(kind, nodes_.id_for(*parent, name)));
  nodes_.attach(*node, *parent, name);
  node->cap = cap;
  node->size = size_of(cap);
  node->on_grid = true;
  own(*node, *parent, mode, caller);
  node->facts.kind = stored_kind(kind);
  if (kind != Kind::directory) node->facts.mtime = now;
  node->facts.ctime = now;
  std::vector<grid::Edit> edits;
  edits.push_back(set_edit(*node, name));
  auto done = co_await directory->apply(std::move(edits));
  if (!done) {
    nodes_.detach(*node);
    co_return std::unexpected(std::move(done).error());
  }
  touch_directory(*parent);
  ++node->references;
  co_return attributes_of(*node);
}

Task<Result<Attributes>> GridFs::mkdir(NodeId parent_id, std::string name, std::uint32_t mode,
                                       Caller caller) {
  CO_TRY_DO(store_form(name));
  {  // before a directory is made for nothing
    CO_TRY(parent, nodes_.pin(parent_id));
    CO_TRY(directory, co_await writable_directory_of(*parent));
    if (node_at(*parent, *directory, name)) co_return fail(Errc::exists, name);
  }
  CO_TRY(cap, co_await client_.create_directory());
  co_return co_await add_entry(parent_id, name, Kind::directory, cap, mode, caller);
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
  if (node->kind != Kind::symlink) co_return fail(Errc::bad_argument, node->name);
  auto* literal = node->cap->as<grid::LitCap>();
  if (!literal) co_return fail(Errc::corrupt, node->name);
  co_return to_text(literal->data);
}

// The entry goes first from our view, then from the grid; a failure brings it back.
Task<Result<>> GridFs::remove_entry(Node& parent, Node& node) {
  const auto name = node.name;
  const bool published = node.on_grid;
  nodes_.detach(node);
  touch_directory(parent);
  if (!published) co_return Result<>{};
  std::vector<grid::Edit> edits;
  edits.push_back(remove_edit(name));
  auto done = co_await parent.directory->apply(std::move(edits));
  if (!done && !parent.children.contains(name)) nodes_.attach(node, parent, name);
  co_return done;
}

Task<Result<>> GridFs::unlink(NodeId parent_id, std::string name) {
  CO_TRY_DO(store_form(name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(directory, co_await writable_directory_of(*parent));
  CO_TRY(found, node_at(*parent, *directory, name));
  auto node = nodes_.pin(*found);
  if (node->kind == Kind::directory) co_return fail(Errc::is_directory, name);
  co_return co_await remove_entry(*parent, *node);
}

Task<Result<>> GridFs::check_empty(Node& node) {
  if (node.directory) node.directory->expire();  // somebody else may have put something there
  CO_TRY(directory, co_await directory_of(node));
  bool local = false;
  for (auto& [name, child] : node.children) local = local || !child->on_grid;
  if (local || !directory->empty()) co_return fail(Errc::not_empty, node.name);
  co_return Result<>{};
}

Task<Result<>> GridFs::rmdir(NodeId parent_id, std::string name) {
  CO_TRY_DO(store_form(name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(directory, co_await writable_directory_of(*parent));
  CO_TRY(found, node_at(*parent, *directory, name));
  auto node = nodes_.pin(*found);
  if (node->kind != Kind::directory) co_return fail(Errc::not_directory, name);
  CO_TRY_DO(co_await check_empty(*node));
  if (node->parent != &*parent || node->name != name) co_return fail(Errc::not_found, name);
  co_return co_await remove_entry(*parent, *node);
}

Task<Result<>> GridFs::check_replaceable(Node& source, Node& target) {
  if (source.kind == Kind::directory && target.kind != Kind::directory)
    co_return fail(Errc::not_directory, target.name);
  if (source.kind != Kind::directory && target.kind == Kind::directory)
    co_return fail(Errc::is_directory, target.name);
  if (target.kind == Kind::directory) co_return co_await check_empty(target);
  co_return Result<>{};
}

Task<Result<>> GridFs::exchange(Node& a, Node& b) {
  CO_TRY_DO(co_await store(a));
  CO_TRY_DO(co_await store(b));
  if (!a.parent || !b.parent) co_return fail(Errc::not_found, "exchange");
  auto parent_a = nodes_.pin(*a.parent);
  auto parent_b = nodes_.pin(*b.parent);
  CO_TRY(directory_b, co_await writable_directory_of(*parent_b));
  CO_TRY(directory_a, co_await writable_directory_of(*parent_a));
  if (a.parent != &*parent_a || b.parent != &*parent_b) co_return fail(Errc::not_found, "exchange");
  const auto name_a = a.name, name_b = b.name;
  auto swap_names = [&] {
    auto& to_a = *b.parent;
    auto& to_b = *a.parent;
    const auto was_a = a.name, was_b = b.name;
    nodes_.detach(a);
    nodes_.detach(b);
    nodes_.attach(a, to_a, was_b);
    nodes_.attach(b, to_b, was_a);
  };
  std::vector<grid::Edit> in_a, in_b;
  in_a.push_back(set_edit(b, name_a));
  in_b.push_back(set_edit(a, name_b));
  swap_names();
  Result<> done;
  if (&*parent_a == &*parent_b) {
    in_a.push_back(in_b.front());
    done = co_await directory_a->apply(std::move(in_a));
  } else {
    // Two directories are two publishes. Between them `a` is kept under another name, so that a
    // crash leaves one name too many and never one too few.
    const auto aside = name_a + ".exchanging";
    in_a.push_back(set_edit(a, aside));
    done = co_await directory_a->apply(std::move(in_a));
    if (done) done = co_await directory_b->apply(std::move(in_b));
    if (done) {
      std::vector<grid::Edit> tidy;
      tidy.push_back(remove_edit(aside));
      done = co_await directory_a->apply(std::move(tidy));
    }
  }
  if (!done && a.parent && b.parent) swap_names();
  co_return done;
}

Task<Result<>> GridFs::rename(NodeId parent_id, std::string name, NodeId new_parent_id,
                              std::string new_name, RenameMode mode) {
  CO_TRY_DO(store_form(name));
  CO_TRY_DO(store_form(new_name));
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(new_parent, nodes_.pin(new_parent_id));
  CO_TRY_DO(co_await writable_directory_of(*parent));
  CO_TRY(new_directory, co_await writable_directory_of(*new_parent));
  auto* directory = parent->directory.get();
  if (!directory) co_return fail(Errc::not_found, name);
  CO_TRY(found, node_at(*parent, *directory, name));
  auto source = nodes_.pin(*found);
  if (source->kind == Kind::directory && is_below(*new_parent, *source))
    co_return fail(Errc::bad_argument, "a directory cannot be moved below itself");

  if (auto there = node_at(*new_parent, *new_directory, new_name)) {
    if (mode == RenameMode::no_replace) co_return fail(Errc::exists, new_name);
    auto target = nodes_.pin(**there);
    if (&*target == &*source) co_return Result<>{};
    if (mode == RenameMode::exchange) {
      if (target->kind == Kind::directory && is_below(*parent, *target))
        co_return fail(Errc::bad_argument, "a directory cannot be moved below itself");
      co_return co_await exchange(*source, *target);
    }
    CO_TRY_DO(co_await check_replaceable(*source, *target));
  } else if (mode == RenameMode::exchange) {
    co_return fail(Errc::not_found, new_name);
  }
  // A file that the grid has not seen yet replaces nothing before it is there.
  if (source->dirty()) CO_TRY_DO(co_await store(*source));
  // Everything may have moved while we waited.
  if (source->parent != &*parent || source->name != name) co_return fail(Errc::not_found, name);
  if (!parent->directory || !new_parent->directory) co_return fail(Errc::not_found, new_name);

  auto old_target = new_parent->children.find(new_name);
  std::optional<NodeTable::Pin> replaced;
  if (old_target != new_parent->children.end()) {
    replaced.emplace(nodes_.pin(*old_target->second));
    nodes_.detach(**replaced);
  }
  nodes_.move(*source, *new_parent, new_name);
  source->facts.ctime = wall_clock_now();
  touch_directory(*parent);
  touch_directory(*new_parent);

  std::vector<grid::Edit> add, remove;
  add.push_back(set_edit(*source, new_name));
  remove.push_back(remove_edit(name));
  Result<> done;
  if (&*parent == &*new_parent) {
    // One publish: no moment without a name, none with two.
    std::vector<grid::Edit> both;
    both.push_back(remove.front());
    both.push_back(add.front());
    done = co_await parent->directory->apply(std::move(both));
  } else {
    // Two publishes: a crash between them leaves both names, never none.
    done = co_await new_parent->directory->apply(std::move(add));
    if (done) done = co_await parent->directory->apply(std::move(remove));
  }
  if (!done && source->parent == &*new_parent && source->name == new_name &&
      !parent->children.contains(name)) {
    nodes_.move(*source, *parent, name);
    if (replaced && !(*replaced)->parent) nodes_.attach(**replaced, *new_parent, new_name);
  }
  co_return done;
}

}  // namespace lafs::fs
