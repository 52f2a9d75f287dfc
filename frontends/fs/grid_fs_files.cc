// SPDX-License-Identifier: Apache-2.0

// GridFs: open files and their bytes.

#include "frontends/fs/facts.h"
#include "frontends/fs/grid_fs.h"
#include "grid/base/log.h"

namespace lafs::fs {

Attributes GridFs::attributes_of(const Node& node) const {
  Attributes out;
  const auto& facts = node.inode->facts;
  out.id = node.id;
  out.kind = node.kind();
  const bool directory = out.kind == Kind::directory;
  out.mode = facts.mode.value_or(out.kind == Kind::symlink ? 0777
                                 : directory               ? options_.directory_mode
                                                           : options_.file_mode);
  out.uid = facts.uid.value_or(options_.uid);
  out.gid = facts.gid.value_or(options_.gid);
  out.links = node.parent || node.id == root_node ? (directory ? 2 : 1) : 0;
  out.size = node.inode->current_size();
  out.times.modified = facts.mtime.value_or(timespec{});
  if (directory && node.directory_changed) out.times.modified = *node.directory_changed;
  out.times.changed = facts.ctime.value_or(out.times.modified);
  if (directory && node.directory_changed) out.times.changed = *node.directory_changed;
  out.times.accessed = facts.atime.value_or(out.times.modified);
  return out;
}

Task<Result<>> GridFs::learn_size(Node& node) {
  const auto& inode = *node.inode;
  if (!node.file() || inode.staged || inode.content || !inode.cap || !inode.cap->is_mutable())
    co_return Result<>{};
  CO_TRY(size, co_await client_.size(*inode.cap));
  node.inode->size = size;
  co_return Result<>{};
}

Result<GridFs::OpenFile*> GridFs::file(HandleId handle) {
  auto it = files_.find(handle);
  if (it == files_.end()) return fail(Errc::bad_handle, "file handle");
  return &it->second;
}

Opened GridFs::opened(Node& node, OpenFlags flags) {
  auto& inode = *node.inode;
  Opened out;
  out.handle = HandleId{next_handle_++};
  ++node.opens;
  write_back_.hold(inode);
  if (flags.write) ++inode.writers;
  files_.emplace(out.handle, OpenFile{&node, flags});
  out.attributes = attributes_of(node);
  // Whoever saw this content the last time may keep what it has of it. What others may change
  // without our knowing is not kept.
  const bool ours_to_know = !inode.cap || !inode.cap->is_mutable();
  out.immutable_content = node.shown && ours_to_know;
  node.shown = ours_to_know;
  return out;
}

Task<Result<>> GridFs::set_size(Node& node, std::uint64_t size) {
  if (size > INT64_MAX) co_return fail(Errc::too_large, node.name);
  CO_TRY_DO(co_await learn_size(node));
  auto& inode = *node.inode;
  if (size == inode.current_size() && (inode.cap || inode.content)) co_return Result<>{};
  write_back_.hold(inode);
  auto done = write_back_.truncate(inode, size, base_of(node));
  write_back_.let_go(inode);
  if (done && inode.writers == 0) write_back_.finish(inode);
  node.shown = false;
  co_return done;
}

Task<Result<Opened>> GridFs::open(NodeId id, OpenFlags flags) {
  CO_TRY(node, nodes_.pin(id));
  const auto kind = node->kind();
  if (kind == Kind::directory) co_return fail(Errc::is_directory, node->name);
  if (kind != Kind::file) co_return fail(Errc::unsupported, node->name);
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
  if (auto there = node_at(*parent, directory, name)) {
    if (exclusive) co_return fail(Errc::exists, name);
    auto pin = nodes_.pin(**there);
    auto done = co_await open(pin->id, flags);
    if (done) ++pin->references;
    co_return done;
  }
  auto inode = new_inode(*parent, name, Kind::file, mode, caller);
  inode->facts.mtime = inode->facts.atime = inode->facts.ctime;
  CO_TRY(node, add(*parent, std::move(inode)));
  ++node->references;
  co_return opened(*node, flags);
}

namespace {

// The grid is away, which passes, as against what will never be read.
bool passes(Errc code) {
  // (Who asks servers that are away finds too few shares, too.)
  return code == Errc::unreachable || code == Errc::timed_out || code == Errc::no_servers ||
         code == Errc::busy || code == Errc::not_enough_shares;
}

}  // namespace

Task<Result<Bytes>> GridFs::fetch(const Node& node, cache::Cap cap, std::uint64_t offset,
                                  std::uint64_t size) {
  for (Duration pause = std::chrono::milliseconds(500);;
       pause = std::min<Duration>(pause * 2, std::chrono::seconds(10))) {
    Result<Bytes> got;
    if (options_.read_timeout && !options_.hard) {
      auto reading = client_.read(cap, offset, size);
      got = co_await within(*options_.read_timeout, "reading " + node.name, std::move(reading));
    } else {
      got = co_await client_.read(cap, offset, size);
    }
    if (got || !options_.hard || closing_ || !passes(got.error().code)) co_return got;
    log::warning("waiting for the grid to read " + node.name + ": " + got.error().message());
    co_await sleep_for(pause);
    const bool stop = co_await stop_requested();
    if (stop) co_return got;
  }
}

Task<Result<Bytes>> GridFs::read_node(Node& node, std::uint64_t offset, std::uint64_t size) {
  auto& inode = *node.inode;  // held by the handle
  const auto end = inode.current_size();
  if (offset >= end) co_return Bytes{};
  size = std::min(size, end - offset);
  if (inode.content && !inode.staged) CO_TRY_DO(write_back_.stage(inode));
  if (!inode.staged) {
    if (!inode.cap) co_return Bytes{};
    co_return co_await fetch(node, *inode.cap, offset, size);
  }
  for (const auto& gap : inode.staged->missing(offset, size)) {
    const auto base = inode.content ? inode.content->base : inode.cap;
    if (!base) co_return fail(Errc::internal, "a new file misses content");
    CO_TRY(old, co_await fetch(node, *base, gap.begin, gap.size()));
    // The file may have been written or cut meanwhile; fill() keeps what is newer.
    if (!inode.staged) co_return co_await read_node(node, offset, size);
    CO_TRY_DO(inode.staged->fill(gap.begin, old));
  }
  if (offset >= inode.staged->size()) co_return Bytes{};
  Bytes out(std::min(size, inode.staged->size() - offset));
  CO_TRY_DO(inode.staged->read(offset, out));
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
  CO_TRY_DO(co_await learn_size(*node));
  auto& inode = *node->inode;
  std::optional<cache::Cap> base;
  if (!inode.content) base = base_of(*node);
  node->shown = false;
  std::optional<std::uint64_t> at;
  if (!append) at = offset;
  co_return co_await write_back_.write(node->inode, at, data, std::move(base));
}

Task<Result<>> GridFs::settle(Node& node, Durability durability) {
  switch (durability) {
    case Durability::journal:
      co_return Result<>{};
    case Durability::local:
      co_return co_await write_back_.sync();
    case Durability::grid:
      // First what can be had at once; then the grid, whose failure does not undo that.
      CO_TRY_DO(co_await write_back_.sync());
      co_return co_await write_back_.on_grid(node.inode);
  }
  co_return Result<>{};
}

Task<Result<>> GridFs::flush(HandleId handle) {
  CO_TRY(open, file(handle));
  if (!open->flags.write) co_return Result<>{};
  auto node = nodes_.pin(*open->node);
  write_back_.finish(*node->inode);
  co_return co_await settle(*node, options_.close);
}

Task<Result<>> GridFs::fsync(HandleId handle, bool) {
  CO_TRY(open, file(handle));
  auto node = nodes_.pin(*open->node);
  co_return co_await settle(*node, options_.fsync);
}

Task<> GridFs::release(HandleId handle) {
  auto it = files_.find(handle);
  if (it == files_.end()) co_return;
  auto node = nodes_.pin(*it->second.node);
  auto& inode = *node->inode;
  if (it->second.flags.write) --inode.writers;
  files_.erase(it);
  // What a mapping wrote after the last flush.
  if (inode.content || !inode.cap) write_back_.finish(inode);
  write_back_.let_go(inode);
  --node->opens;
}

}  // namespace lafs::fs
