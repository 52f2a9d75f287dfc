// SPDX-License-Identifier: Apache-2.0
#pragma once

// A directory of a Filesystem as the root of one: what somebody sees who may only see what is below
// it. Nodes, handles and locks are those of the whole, but that the directory is root_node here; so
// both show the same at the same time, and observers of either hear what happens through the other.
// When the directory is renamed, this goes with it; when it is removed, nothing is left here.
//
// Closing it leaves the Filesystem open.

#include <memory>

#include "frontends/fs/filesystem.h"

namespace lafs::fs {

class Subtree final : public Filesystem {
 public:
  // `top`: a directory, with a reference that is given back at the end.
  Subtree(std::shared_ptr<Filesystem> whole, NodeId top);
  ~Subtree() override;

  Task<Result<Attributes>> lookup(NodeId parent, std::string name) override;
  void forget(NodeId node, std::uint64_t references) override;
  Task<Result<Attributes>> attributes(NodeId node) override;
  Task<Result<Attributes>> change(NodeId node, Changes changes,
                                  std::optional<HandleId> handle) override;
  Task<Result<Attributes>> mkdir(NodeId parent, std::string name, std::uint32_t mode,
                                 Caller caller) override;
  Task<Result<Attributes>> symlink(NodeId parent, std::string name, std::string target,
                                   Caller caller) override;
  Task<Result<Attributes>> mknod(NodeId parent, std::string name, Kind kind, std::uint32_t mode,
                                 Caller caller) override;
  Task<Result<std::string>> readlink(NodeId node) override { return whole_->readlink(in(node)); }
  Task<Result<>> unlink(NodeId parent, std::string name) override {
    return whole_->unlink(in(parent), std::move(name));
  }
  Task<Result<>> rmdir(NodeId parent, std::string name) override {
    return whole_->rmdir(in(parent), std::move(name));
  }
  Task<Result<>> rename(NodeId parent, std::string name, NodeId new_parent, std::string new_name,
                        RenameMode mode) override {
    return whole_->rename(in(parent), std::move(name), in(new_parent), std::move(new_name), mode);
  }
  Task<Result<Attributes>> link(NodeId node, NodeId new_parent, std::string new_name) override;

  Task<Result<Opened>> open(NodeId node, OpenFlags flags) override {
    return whole_->open(in(node), flags);
  }
  Task<Result<Opened>> create(NodeId parent, std::string name, std::uint32_t mode, OpenFlags flags,
                              bool exclusive, Caller caller) override {
    return whole_->create(in(parent), std::move(name), mode, flags, exclusive, caller);
  }
  Task<Result<Bytes>> read(HandleId handle, std::uint64_t offset, std::uint32_t size) override {
    return whole_->read(handle, offset, size);
  }
  Task<Result<>> write(HandleId handle, std::uint64_t offset, ByteView data) override {
    return whole_->write(handle, offset, data);
  }
  Task<Result<>> flush(HandleId handle) override { return whole_->flush(handle); }
  Task<Result<>> fsync(HandleId handle, bool data_only) override {
    return whole_->fsync(handle, data_only);
  }
  Task<> release(HandleId handle) override { return whole_->release(handle); }
  Task<Result<std::uint64_t>> seek(HandleId handle, std::uint64_t offset, SeekFor what) override {
    return whole_->seek(handle, offset, what);
  }
  Task<Result<>> allocate(HandleId handle, std::uint64_t offset, std::uint64_t length,
                          AllocateMode mode) override {
    return whole_->allocate(handle, offset, length, mode);
  }
  Task<Result<std::uint64_t>> copy_range(HandleId from, std::uint64_t offset, HandleId to,
                                         std::uint64_t to_offset, std::uint64_t length) override {
    return whole_->copy_range(from, offset, to, to_offset, length);
  }

  Task<Result<HandleId>> open_directory(NodeId node) override {
    return whole_->open_directory(in(node));
  }
  Task<Result<std::vector<DirectoryEntry>>> read_directory(HandleId handle, std::uint64_t after,
                                                           std::size_t max,
                                                           bool reference) override {
    return whole_->read_directory(handle, after, max, reference);
  }
  Task<> close_directory(HandleId handle) override { return whole_->close_directory(handle); }
  Task<Result<>> sync_directory(NodeId node) override { return whole_->sync_directory(in(node)); }

  Task<Result<SpaceInfo>> space() override { return whole_->space(); }

  Task<Result<Bytes>> xattr(NodeId node, std::string name) override {
    return whole_->xattr(in(node), std::move(name));
  }
  Task<Result<std::vector<std::string>>> xattr_names(NodeId node) override {
    return whole_->xattr_names(in(node));
  }
  Task<Result<>> set_xattr(NodeId node, std::string name, Bytes value, XattrMode mode) override {
    return whole_->set_xattr(in(node), std::move(name), std::move(value), mode);
  }
  Task<Result<>> remove_xattr(NodeId node, std::string name) override {
    return whole_->remove_xattr(in(node), std::move(name));
  }

  LockTable& locks() override { return whole_->locks(); }
  Observers& observers() override { return observers_; }

  Task<Result<>> close() override { co_return Result<>{}; }

 private:
  // What a number here means in the whole, and the other way round.
  NodeId in(NodeId node) const { return node == root_node ? top_ : node; }
  NodeId out(NodeId node) const { return node == top_ ? root_node : node; }
  Result<Attributes> out(Result<Attributes> attributes) const;

  std::shared_ptr<Filesystem> whole_;
  NodeId top_;
  Observers observers_;       // of this
  const Observer from_here_;  // one of them: tells those of the whole
  const Observer to_here_;    // of the whole: tells those of this
};

}  // namespace lafs::fs
