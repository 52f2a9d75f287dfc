// SPDX-License-Identifier: Apache-2.0

// GridFs: open files, their bytes, and how they get to the grid.

#include "frontends/fs/facts.h"
#include "frontends/fs/grid_fs.h"
#include "grid/base/log.h"

namespace lafs::fs {

namespace {
constexpr std::uint64_t worth_asking_for_space = 64u << 20;
}  // namespace

Attributes GridFs::attributes_of(const Node& node) const {
  Attributes out;
  const auto& facts = node.facts;
  out.id = node.id;
  out.kind = node.kind;
  const bool directory = node.kind == Kind::directory;
  out.mode = facts.mode.value_or(node.kind == Kind::symlink ? 0777
                                 : directory                ? options_.directory_mode
                                                            : options_.file_mode);
  out.uid = facts.uid.value_or(options_.uid);
  out.gid = facts.gid.value_or(options_.gid);
  out.links = node.parent || node.id == root_node ? (directory ? 2 : 1) : 0;
  out.size = node.current_size();
  out.times.modified = facts.mtime.value_or(timespec{});
  if (directory && node.directory_changed) out.times.modified = *node.directory_changed;
  out.times.changed = facts.ctime.value_or(out.times.modified);
  if (directory && node.directory_changed) out.times.changed = *node.directory_changed;
  out.times.accessed = facts.atime.value_or(out.times.modified);
  return out;
}

Task<Result<>> GridFs::learn_size(Node& node) {
  if (node.kind != Kind::file || node.staged || !node.cap || !node.cap->is_mutable())
    co_return Result<>{};
  CO_TRY(size, co_await client_.size(*node.cap));
  node.size = size;
  co_return Result<>{};
}

Result<GridFs::OpenFile*> GridFs::file(HandleId handle) {
  auto it = files_.find(handle);
  if (it == files_.end()) return fail(Errc::bad_handle, "file handle");
  return &it->second;
}

Opened GridFs::opened(Node& node, OpenFlags flags) {
  Opened out;
  out.handle = HandleId{next_handle_++};
  ++node.opens;
  files_.emplace(out.handle, OpenFile{&node, flags});
  out.attributes = attributes_of(node);
  // Whoever saw this content the last time may keep what it has of it.
  out.immutable_content =
      !node.staged && node.cap && node.shown == node.cap && !node.cap->is_mutable();
  if (!node.staged) node.shown = node.cap;
  return out;
}

Task<Result<>> GridFs::stage(Node& node) {
  if (node.staged) co_return Result<>{};
  CO_TRY_DO(co_await learn_size(node));
  if (node.staged) co_return Result<>{};
  CO_TRY(staged, cache::StagedFile::create(options_.staging_directory, node.size));
  node.staged = std::move(staged);
  node.staged_over = node.cap;
  node.stored_version = node.staged->version();
  node.shown.reset();
  co_return Result<>{};
}

Task<Result<>> GridFs::set_size(Node& node, std::uint64_t size) {
  if (size > INT64_MAX) co_return fail(Errc::too_large, node.name);
  CO_TRY_DO(co_await learn_size(node));
  if (size == node.current_size() && node.on_grid) co_return Result<>{};
  CO_TRY_DO(co_await stage(node));
  node.staged->truncate(size);
  node.facts.mtime = node.facts.ctime = wall_clock_now();
  co_return Result<>{};
}

Task<Result<Opened>> GridFs::open(NodeId id, OpenFlags flags) {
  CO_TRY(node, nodes_.pin(id));
  if (node->kind == Kind::directory) co_return fail(Errc::is_directory, node->name);
  if (node->kind != Kind::file) co_return fail(Errc::unsupported, node->name);
  if (flags.write || flags.truncate) {
    CO_TRY_DO(check_writable());
    // Content is changed by giving the entry another cap, so the directory must be ours to change.
    if (node->parent) {
      auto parent = nodes_.pin(*node->parent);
      CO_TRY_DO(co_await writable_directory_of(*parent));
    }
  }
  CO_TRY_DO(co_await learn_size(*node));
  if (flags.truncate) CO_TRY_DO(co_await set_size(*node, 0));
  co_return opened(*node, flags);
}

Task<Result<Opened>> GridFs::create(NodeId parent_id, std::string name, std::uint32_t mode,
                                    OpenFlags flags, bool exclusive, Caller caller) {
  CO_TRY_DO(check_name(name));
  CO_TRY(normal, grid::normalise_name(name));
  name = std::move(normal);
  CO_TRY(parent, nodes_.pin(parent_id));
  CO_TRY(directory, co_await writable_directory_of(*parent));
  if (auto there = node_at(*parent, *directory, name)) {
    if (exclusive) co_return fail(Errc::exists, name);
    auto pin = nodes_.pin(**there);
    auto done = co_await open(pin->id, flags);
    if (done) ++pin->references;
    co_return done;
  }
  auto node = nodes_.pin(nodes_.make(Kind::file, nodes_.id_for(*parent, name)));
  nodes_.attach(*node, *parent, name);
  own(*node, *parent, mode, caller);
  node->facts.mtime = node->facts.ctime = node->facts.atime = wall_clock_now();
  touch_directory(*parent);
  ++node->references;
  co_return opened(*node, flags);
}

Task<Result<Bytes>> GridFs::read_node(Node& node, std::uint64_t offset, std::uint64_t size) {
  const auto end = node.current_size();
  if (offset >= end) co_return Bytes{};
  size = std::min(size, end - offset);
  if (!node.staged) {
    if (!node.cap) co_return Bytes{};
    co_return co_await client_.read(*node.cap, offset, size);
  }
  for (const auto& gap : node.staged->missing(offset, size)) {
    if (!node.staged_over) co_return fail(Errc::internal, "a new file misses content");
    CO_TRY(old, co_await client_.read(*node.staged_over, gap.begin, gap.size()));
    // The file may have been written, cut or let go of meanwhile; fill() keeps what is newer.
    if (!node.staged) co_return co_await read_node(node, offset, size);
    CO_TRY_DO(node.staged->fill(gap.begin, old));
  }
  if (offset >= node.staged->size()) co_return Bytes{};
  Bytes out(std::min(size, node.staged->size() - offset));
  CO_TRY_DO(node.staged->read(offset, out));
  co_return out;
}

Task<Result<Bytes>> GridFs::read(HandleId handle, std::uint64_t offset, std::uint32_t size) {
  CO_TRY(open, file(handle));
  if (!open->flags.read) co_return fail(Errc::bad_handle, "not open for reading");
  auto node = nodes_.pin(*open->node);
  co_return co_await read_node(*node, offset, size);
}

Task<Result<>> GridFs::write(HandleId handle, std::uint64_t offset, ByteView data) {
  CO_TRY_DO(check_writable());
  CO_TRY(open, file(handle));
  if (!open->flags.write) co_return fail(Errc::bad_handle, "not open for writing");
  const bool append = open->flags.append;
  auto node = nodes_.pin(*open->node);
  CO_TRY_DO(co_await stage(*node));
  if (append) offset = node->staged->size();
  CO_TRY_DO(node->staged->write(offset, data));
  node->facts.mtime = node->facts.ctime = wall_clock_now();
  co_return Result<>{};
}

// ------------------------------------------------------------------------ to the grid

Task<Result<cache::Cap>> GridFs::upload(Node& node) {
  if (!node.staged) co_return cache::Cap(grid::LitCap{});  // a new file, never written
  auto* staged = node.staged.get();
  const auto over = node.staged_over;
  // A sparse file costs nothing here and its whole size on the grid: refused before it is hashed.
  if (staged->size() > worth_asking_for_space) {
    auto room = co_await space();
    if (room && staged->size() > room->available)
      co_return fail(Errc::no_space, "a file of " + std::to_string(staged->size()) +
                                         " bytes, the grid has room for " +
                                         std::to_string(room->available));
  }
  // Old content that is needed is fetched before, so that the source never changes its mind.
  for (const auto& gap : staged->missing(0, staged->size())) {
    constexpr std::uint64_t piece = 1 << 20;
    for (auto at = gap.begin; at < gap.end; at += piece) {
      CO_TRY(old, co_await client_.read(*over, at, std::min(piece, gap.end - at)));
      CO_TRY_DO(staged->fill(at, old));
    }
  }
  const auto size = staged->size();
  if (node.cap && node.cap->is_mutable()) {  // stays the file it is, with other contents
    Bytes contents(size);
    CO_TRY_DO(staged->read(0, contents));
    CO_TRY_DO(co_await client_.overwrite(*node.cap, std::move(contents)));
    co_return *node.cap;
  }
  grid::Source source{.size = size, .read = [staged](std::uint64_t offset, MutableBytes out) {
                        return [](cache::StagedFile* from, std::uint64_t at,
                                  MutableBytes to) -> Task<Result<>> {
                          co_return from->read(at, to);
                        }(staged, offset, out);
                      }};
  co_return co_await client_.put(source);
}

// One pass: afterwards the grid has at least what was here when it began. What was written
// meanwhile is left to its own writer's flush, so that a busy writer cannot hold up another one's.
Task<Result<>> GridFs::store_now(Node& node) {
  const auto version = node.staged ? node.staged->version() : 0;
  const bool content = node.content_changed() || !node.on_grid;
  if (content) {
    CO_TRY(cap, co_await upload(node));
    node.cap = cap;
    node.stored_version = version;
    if (!node.staged) node.size = 0;
  }
  for (;;) {
    // Content that lost its name has nowhere to go.
    if (!node.parent) co_return Result<>{};
    auto parent = nodes_.pin(*node.parent);
    CO_TRY(directory, co_await directory_of(*parent));
    if (!directory->writable()) co_return fail(Errc::read_only, "directory " + parent->name);
    if (node.parent != &*parent) continue;  // renamed while we waited
    node.on_grid = true;
    node.facts_changed = false;
    std::vector<grid::Edit> edits;
    if (content || !directory->find(node.name))
      edits.push_back(set_edit(node, node.name));
    else  // another writer's content under this name stays
      edits.push_back(facts_edit(node));
    auto done = co_await directory->apply(std::move(edits));
    if (!done) node.facts_changed = true;  // the entry as a whole is to be published again
    co_return done;
  }
}

Task<Result<>> GridFs::store(Node& node) {
  while (node.storing) co_await stored_.wait_shielded();
  if (!node.parent || !node.dirty()) co_return Result<>{};
  node.storing = true;
  auto done = co_await store_now(node);
  node.storing = false;
  stored_.notify();
  node.stuck.reset();
  if (!done) node.stuck = done.error();
  co_return done;
}

Task<Result<>> GridFs::flush(HandleId handle) {
  CO_TRY(open, file(handle));
  if (!open->flags.write) co_return Result<>{};
  auto node = nodes_.pin(*open->node);
  co_return co_await store(*node);
}

Task<Result<>> GridFs::fsync(HandleId handle, bool) {
  CO_TRY(open, file(handle));
  auto node = nodes_.pin(*open->node);
  co_return co_await store(*node);
}

Task<> GridFs::release(HandleId handle) {
  auto it = files_.find(handle);
  if (it == files_.end()) co_return;
  auto node = nodes_.pin(*it->second.node);
  files_.erase(it);
  // What a mapping wrote after the last flush comes to the grid here.
  auto done = co_await store(*node);
  if (!done) log::error("not stored yet: " + node->name + ": " + done.error().message());
  if (--node->opens == 0 && !node->dirty() && node->staged) {
    node->size = node->staged->size();
    node->staged.reset();
    node->staged_over.reset();
    node->shown = node->cap;  // what was written through the kernel is what it may keep
  }
}

}  // namespace lafs::fs
