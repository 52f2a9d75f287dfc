// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/view.h"

#include <algorithm>

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
void count() {
  static auto& counter = metrics::of_process().counter(
      "lafs_fs_operations_total", "What frontends asked of a filesystem.", {{"what", name.text}});
  counter.add();
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
  const auto it = writing_.find(handle.value);
  if (it != writing_.end()) node_changed(it->second, true);
}

Task<Result<Attributes>> View::lookup(NodeId parent, std::string name) {
  count<"lookup">();
  co_return shown(co_await files_->lookup(parent, std::move(name)));
}

Task<Result<Attributes>> View::attributes(NodeId node) {
  count<"attributes">();
  co_return shown(co_await files_->attributes(node));
}

Task<Result<Attributes>> View::change(NodeId node, Changes changes,
                                      std::optional<HandleId> handle) {
  count<"change">();
  CO_TRY_DO(may_change());
  const bool bytes = changes.size.has_value();
  auto done = co_await files_->change(node, changes, handle);
  if (done) node_changed(node, bytes);
  co_return shown(std::move(done));
}

Task<Result<Attributes>> View::mkdir(NodeId parent, std::string name, std::uint32_t mode,
                                     Caller caller) {
  count<"mkdir">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->mkdir(parent, name, mode, caller);
  if (done) entry_changed(parent, name);
  co_return shown(std::move(done));
}

Task<Result<Attributes>> View::symlink(NodeId parent, std::string name, std::string target,
                                       Caller caller) {
  count<"symlink">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->symlink(parent, name, std::move(target), caller);
  if (done) entry_changed(parent, name);
  co_return done;
}

Task<Result<Attributes>> View::mknod(NodeId parent, std::string name, Kind kind, std::uint32_t mode,
                                     Caller caller) {
  count<"mknod">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->mknod(parent, name, kind, mode, caller);
  if (done) entry_changed(parent, name);
  co_return shown(std::move(done));
}

Task<Result<>> View::unlink(NodeId parent, std::string name) {
  count<"unlink">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->unlink(parent, name);
  if (done) entry_changed(parent, name);
  co_return done;
}

Task<Result<>> View::rmdir(NodeId parent, std::string name) {
  count<"rmdir">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->rmdir(parent, name);
  if (done) entry_changed(parent, name);
  co_return done;
}

Task<Result<>> View::rename(NodeId parent, std::string name, NodeId new_parent,
                            std::string new_name, RenameMode mode) {
  count<"rename">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->rename(parent, name, new_parent, new_name, mode);
  if (done) {
    entry_changed(parent, name);
    entry_changed(new_parent, new_name);
  }
  co_return done;
}

Task<Result<Attributes>> View::link(NodeId node, NodeId new_parent, std::string new_name) {
  count<"link">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->link(node, new_parent, new_name);
  if (done) {
    entry_changed(new_parent, new_name);
    node_changed(node, false);
  }
  co_return shown(std::move(done));
}

void View::note(const Result<Opened>& opened, OpenFlags flags) {
  if (!opened || !flags.write) return;
  writing_.emplace(opened->handle.value, opened->attributes.id);
  if (flags.truncate) node_changed(opened->attributes.id, true);
}

Task<Result<Opened>> View::open(NodeId node, OpenFlags flags) {
  count<"open">();
  if (flags.write || flags.truncate) CO_TRY_DO(may_change());
  auto done = co_await files_->open(node, flags);
  note(done, flags);
  if (done) done->attributes = shown(done->attributes);
  co_return done;
}

Task<Result<Opened>> View::create(NodeId parent, std::string name, std::uint32_t mode,
                                  OpenFlags flags, bool exclusive, Caller caller) {
  count<"create">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->create(parent, name, mode, flags, exclusive, caller);
  note(done, flags);
  if (done) {
    entry_changed(parent, name);
    done->attributes = shown(done->attributes);
  }
  co_return done;
}

Task<Result<Bytes>> View::read(HandleId handle, std::uint64_t offset, std::uint32_t size) {
  count<"read">();
  return files_->read(handle, offset, size);
}

Task<Result<>> View::write(HandleId handle, std::uint64_t offset, ByteView data) {
  count<"write">();
  return others() ? write_and_tell(handle, offset, data) : files_->write(handle, offset, data);
}

Task<Result<>> View::write_and_tell(HandleId handle, std::uint64_t offset, ByteView data) {
  count<"write_and_tell">();
  auto done = co_await files_->write(handle, offset, data);
  if (done) handle_changed(handle);
  co_return done;
}

Task<> View::release(HandleId handle) {
  count<"release">();
  writing_.erase(handle.value);
  return files_->release(handle);
}

Task<Result<>> View::allocate(HandleId handle, std::uint64_t offset, std::uint64_t length,
                              AllocateMode mode) {
  count<"allocate">();
  auto done = co_await files_->allocate(handle, offset, length, mode);
  if (done) handle_changed(handle);
  co_return done;
}

Task<Result<std::uint64_t>> View::copy_range(HandleId from, std::uint64_t offset, HandleId to,
                                             std::uint64_t to_offset, std::uint64_t length) {
  count<"copy_range">();
  auto done = co_await files_->copy_range(from, offset, to, to_offset, length);
  if (done) handle_changed(to);
  co_return done;
}

Task<Result<std::vector<DirectoryEntry>>> View::read_directory(HandleId handle, std::uint64_t after,
                                                               std::size_t max, bool reference) {
  count<"read_directory">();
  auto entries = co_await files_->read_directory(handle, after, max, reference);
  if (entries && (options_.file_mask | options_.directory_mask) != 0) {
    for (auto& entry : *entries) entry.attributes = shown(entry.attributes);
  }
  co_return entries;
}

Task<Result<>> View::set_xattr(NodeId node, std::string name, Bytes value, XattrMode mode) {
  count<"set_xattr">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->set_xattr(node, std::move(name), std::move(value), mode);
  if (done) node_changed(node, false);
  co_return done;
}

Task<Result<>> View::remove_xattr(NodeId node, std::string name) {
  count<"remove_xattr">();
  CO_TRY_DO(may_change());
  auto done = co_await files_->remove_xattr(node, std::move(name));
  if (done) node_changed(node, false);
  co_return done;
}

}  // namespace lafs::fs
