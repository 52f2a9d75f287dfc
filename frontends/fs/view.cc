// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/view.h"

#include <algorithm>
#include <ctime>

#include "frontends/fs/unfinished.h"
#include "grid/base/process_metrics.h"

namespace lafs::fs {

namespace {

template <std::size_t N>
struct Name {
  constexpr Name(const char (&from)[N]) { std::copy_n(from, N, text); }
  char text[N];
};

// One more of these was asked for.
template <Name name>
void count(const View::Options& options) {
  if (options.used) options.used();
  static auto& counter = metrics::of_process().counter(
      "lafs_fs_operations_total", "What frontends asked of a filesystem.", {{"what", name.text}});
  counter.add();
}

constexpr std::size_t page = 1000;

bool is_expired(const Attributes& attributes) {
  constexpr auto seconds = std::chrono::seconds(unfinished_kept_for).count();
  return attributes.kind == Kind::file &&
         attributes.times.modified.tv_sec + seconds < std::time(nullptr);
}

}  // namespace

View::~View() { listen(nullptr); }

void View::listen(const Observer* own) {
  if (own_) files_->observers().remove(own_);
  own_ = own;
  if (own_) files_->observers().add(own_);
}

Result<> View::may_change() const {
  if (options_.read_only) return fail(Errc::read_only, "seen through a read-only view");
  return {};
}

Attributes View::shown(Attributes attributes) const {
  if (attributes.kind == Kind::directory)
    attributes.mode &= ~options_.directory_mask;
  else if (attributes.kind != Kind::symlink)
    attributes.mode &= ~options_.file_mask;
  return attributes;
}

Result<Attributes> View::shown(Result<Attributes> attributes) const {
  if (attributes) *attributes = shown(*attributes);
  return attributes;
}

void View::entry_changed(NodeId parent, const std::string& name) {
  files_->observers().entry_changed(parent, name, {}, own_);
}

void View::node_changed(NodeId node, bool bytes) {
  files_->observers().node_changed(node, bytes, own_);
}

void View::handle_changed(HandleId handle) {
  if (!others()) return;
  const auto it = open_.find(handle.value);
  if (it != open_.end()) node_changed(it->second.node, true);
}

Task<Result<Attributes>> View::lookup(NodeId parent, std::string name) {
  count<"lookup">(options_);
  co_return shown(co_await files_->lookup(parent, std::move(name)));
}

Task<Result<Attributes>> View::attributes(NodeId node) {
  count<"attributes">(options_);
  co_return shown(co_await files_->attributes(node));
}

Task<Result<Attributes>> View::change(NodeId node, Changes changes,
                                      std::optional<HandleId> handle) {
  count<"change">(options_);
  CO_TRY_DO(may_change());
  const bool bytes = changes.size.has_value();
  const bool counts = options_.usage && bytes;
  if (counts) {
    const auto size = co_await size_of(node);
    CO_TRY_DO(options_.usage->resize(node, size, *changes.size, options_.quota));
  }
  auto done = co_await files_->change(node, changes, handle);
  if (done) node_changed(node, bytes);
  if (!done && counts) options_.usage->outdated();
  co_return shown(std::move(done));
}

Task<Result<Attributes>> View::mkdir(NodeId parent, std::string name, std::uint32_t mode,
                                     Caller caller) {
  count<"mkdir">(options_);
  CO_TRY_DO(may_change());
  auto done = co_await files_->mkdir(parent, name, mode, caller);
  if (done) entry_changed(parent, name);
  co_return shown(std::move(done));
}

Task<Result<Attributes>> View::symlink(NodeId parent, std::string name, std::string target,
                                       Caller caller) {
  count<"symlink">(options_);
  CO_TRY_DO(may_change());
  auto done = co_await files_->symlink(parent, name, std::move(target), caller);
  if (done) entry_changed(parent, name);
  co_return done;
}

Task<Result<Attributes>> View::mknod(NodeId parent, std::string name, Kind kind, std::uint32_t mode,
                                     Caller caller) {
  count<"mknod">(options_);
  CO_TRY_DO(may_change());
  auto done = co_await files_->mknod(parent, name, kind, mode, caller);
  if (done) entry_changed(parent, name);
  co_return shown(std::move(done));
}

Task<Result<>> View::unlink(NodeId parent, std::string name) {
  count<"unlink">(options_);
  CO_TRY_DO(may_change());
  std::optional<Named> lost;
  if (options_.usage) lost = co_await file_named(parent, name);
  auto done = co_await files_->unlink(parent, name);
  if (done) entry_changed(parent, name);
  if (done && lost) options_.usage->removed(lost->node, lost->size);
  co_return done;
}

Task<Result<>> View::rmdir(NodeId parent, std::string name) {
  count<"rmdir">(options_);
  CO_TRY_DO(may_change());
  auto done = co_await files_->rmdir(parent, name);
  if (!done && done.error().code == Errc::not_empty) {
    const bool emptied = co_await remove_unfinished(parent, name);
    if (emptied) done = co_await files_->rmdir(parent, name);
  }
  if (done) entry_changed(parent, name);
  co_return done;
}

Task<Result<>> View::rename(NodeId parent, std::string name, NodeId new_parent,
                            std::string new_name, RenameMode mode) {
  count<"rename">(options_);
  CO_TRY_DO(may_change());
  std::optional<Named> lost;
  if (options_.usage && mode == RenameMode::replace) {
    lost = co_await file_named(new_parent, new_name);
    const auto moved = co_await file_named(parent, name);
    if (lost && moved && lost->node == moved->node) lost.reset();
  }
  auto done = co_await files_->rename(parent, name, new_parent, new_name, mode);
  if (done && lost) options_.usage->removed(lost->node, lost->size);
  if (done) {
    entry_changed(parent, name);
    entry_changed(new_parent, new_name);
  }
  co_return done;
}

Task<Result<Attributes>> View::link(NodeId node, NodeId new_parent, std::string new_name) {
  count<"link">(options_);
  CO_TRY_DO(may_change());
  auto done = co_await files_->link(node, new_parent, new_name);
  if (done) {
    entry_changed(new_parent, new_name);
    node_changed(node, false);
  }
  co_return shown(std::move(done));
}

void View::note(const Result<Opened>& opened, OpenFlags flags) {
  if (!opened || (!flags.write && !options_.usage)) return;
  const auto& attributes = opened->attributes;
  open_.emplace(opened->handle.value, Open{attributes.id, flags});
  if (flags.write && options_.usage) options_.usage->opened(attributes.id, attributes.size);
  if (flags.truncate) node_changed(attributes.id, true);
}

Task<Result<Opened>> View::open(NodeId node, OpenFlags flags) {
  count<"open">(options_);
  if (flags.write || flags.truncate) CO_TRY_DO(may_change());
  const bool empties = options_.usage && flags.truncate;
  std::uint64_t before = 0;
  if (empties) before = co_await size_of(node);
  auto done = co_await files_->open(node, flags);
  if (done && empties) (void)options_.usage->resize(node, before, 0, UINT64_MAX);
  note(done, flags);
  if (done) done->attributes = shown(done->attributes);
  co_return done;
}

Task<Result<Opened>> View::create(NodeId parent, std::string name, std::uint32_t mode,
                                  OpenFlags flags, bool exclusive, Caller caller) {
  count<"create">(options_);
  CO_TRY_DO(may_change());
  std::optional<Named> emptied;
  if (options_.usage && flags.truncate && !exclusive) emptied = co_await file_named(parent, name);
  auto done = co_await files_->create(parent, name, mode, flags, exclusive, caller);
  if (done && emptied) (void)options_.usage->resize(emptied->node, emptied->size, 0, UINT64_MAX);
  note(done, flags);
  if (done) {
    entry_changed(parent, name);
    done->attributes = shown(done->attributes);
  }
  co_return done;
}

Task<Result<Bytes>> View::read(HandleId handle, std::uint64_t offset, std::uint32_t size) {
  count<"read">(options_);
  return files_->read(handle, offset, size);
}

Task<Result<>> View::write(HandleId handle, std::uint64_t offset, ByteView data) {
  count<"write">(options_);
  return others() || options_.usage ? write_and_tell(handle, offset, data)
                                    : files_->write(handle, offset, data);
}

Task<Result<>> View::write_and_tell(HandleId handle, std::uint64_t offset, ByteView data) {
  CO_TRY_DO(co_await grow(handle, offset, data.size()));
  auto done = co_await files_->write(handle, offset, data);
  if (done) handle_changed(handle);
  if (!done && options_.usage) options_.usage->outdated();
  co_return done;
}

Task<> View::release(HandleId handle) {
  count<"release">(options_);
  const auto open = open_.extract(handle.value);
  if (open && open.mapped().flags.write && options_.usage)
    options_.usage->closed(open.mapped().node);
  return files_->release(handle);
}

Task<Result<>> View::allocate(HandleId handle, std::uint64_t offset, std::uint64_t length,
                              AllocateMode mode) {
  count<"allocate">(options_);
  const bool grows = mode == AllocateMode::grow || mode == AllocateMode::zero_range;
  if (grows) CO_TRY_DO(co_await grow(handle, offset, length));
  if (mode == AllocateMode::keep_size) CO_TRY_DO(co_await room_for(handle, offset, length));
  auto done = co_await files_->allocate(handle, offset, length, mode);
  if (done) handle_changed(handle);
  if (!done && grows && options_.usage) options_.usage->outdated();
  co_return done;
}

Task<Result<std::uint64_t>> View::copy_range(HandleId from, std::uint64_t offset, HandleId to,
                                             std::uint64_t to_offset, std::uint64_t length) {
  count<"copy_range">(options_);
  if (options_.usage) {
    const auto source = open_.find(from.value);
    std::uint64_t size = 0;
    if (source != open_.end()) size = co_await size_of(source->second.node);
    const auto comes = std::min(length, size - std::min(size, offset));
    CO_TRY_DO(co_await grow(to, to_offset, comes));
  }
  auto done = co_await files_->copy_range(from, offset, to, to_offset, length);
  if (done) handle_changed(to);
  if (!done && options_.usage) options_.usage->outdated();
  co_return done;
}

// To whoever looks through a view a directory with nothing but unfinished uploads is empty. True
// when there was nothing else, and it has been removed.
Task<bool> View::remove_unfinished(NodeId parent, std::string name) {
  auto directory = co_await files_->lookup(parent, std::move(name));
  if (!directory) co_return false;
  std::vector<DirectoryEntry> entries;
  if (auto handle = co_await files_->open_directory(directory->id)) {
    auto read = co_await files_->read_directory(*handle, 0, page, false);
    if (read && read->size() < page) entries = std::move(*read);
    co_await files_->close_directory(*handle);
  }
  bool removed = !entries.empty();
  for (const auto& entry : entries) removed = removed && is_unfinished_name(entry.name);
  for (std::size_t i = 0; removed && i < entries.size(); ++i) {
    auto done = co_await files_->unlink(directory->id, entries[i].name);
    removed = done.has_value();
  }
  files_->forget(directory->id, 1);
  co_return removed;
}

Task<Result<HandleId>> View::open_directory(NodeId node) {
  auto handle = co_await files_->open_directory(node);
  if (handle) listings_.emplace(handle->value, Listing{node, {}});
  co_return handle;
}

Task<Result<std::vector<DirectoryEntry>>> View::read_directory(HandleId handle, std::uint64_t after,
                                                               std::size_t max, bool reference) {
  count<"read_directory">(options_);
  for (;;) {
    auto entries = co_await files_->read_directory(handle, after, max, reference);
    if (!entries || entries->empty()) co_return entries;
    after = entries->back().cookie;
    const auto listing = listings_.find(handle.value);
    std::erase_if(*entries, [&](const DirectoryEntry& entry) {
      if (!is_unfinished_name(entry.name)) return false;
      if (reference) files_->forget(entry.attributes.id, 1);
      if (listing != listings_.end() && is_expired(entry.attributes))
        listing->second.expired.push_back(entry.name);
      return true;
    });
    if (entries->empty()) continue;  // nothing to show of these: an empty answer would be the end
    if ((options_.file_mask | options_.directory_mask) != 0) {
      for (auto& entry : *entries) entry.attributes = shown(entry.attributes);
    }
    co_return entries;
  }
}

Task<> View::close_directory(HandleId handle) {
  auto listing = listings_.extract(handle.value);
  co_await files_->close_directory(handle);
  if (!listing || options_.read_only) co_return;
  auto& [directory, expired] = listing.mapped();
  for (const auto& name : expired) {
    // Looked at again: somebody may have gone on with it while the directory was read.
    auto now = co_await files_->lookup(directory, name);
    if (!now) continue;
    if (is_expired(*now)) (void)co_await files_->unlink(directory, name);
    files_->forget(now->id, 1);
  }
}

Task<Result<>> View::set_xattr(NodeId node, std::string name, Bytes value, XattrMode mode) {
  count<"set_xattr">(options_);
  CO_TRY_DO(may_change());
  auto done = co_await files_->set_xattr(node, std::move(name), std::move(value), mode);
  if (done) node_changed(node, false);
  co_return done;
}

Task<Result<>> View::remove_xattr(NodeId node, std::string name) {
  count<"remove_xattr">(options_);
  CO_TRY_DO(may_change());
  auto done = co_await files_->remove_xattr(node, std::move(name));
  if (done) node_changed(node, false);
  co_return done;
}

}  // namespace lafs::fs
