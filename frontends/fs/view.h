// SPDX-License-Identifier: Apache-2.0
#pragma once

// One frontend's view of a Filesystem that it shares with others: forwards everything, refuses
// changes when it is read-only or the account's quota is used up, takes bits away from the modes it
// shows, leaves unfinished uploads out of listings, and tells the observers of the other views what
// was changed through this one. Closing a view leaves the Filesystem open.
//
// The observer that listens for this view's frontend is registered through observers() and is not
// told of the view's own changes.

#include <functional>
#include <memory>
#include <unordered_map>

#include "frontends/fs/filesystem.h"
#include "frontends/fs/usage.h"

namespace lafs::fs {

class View final : public Filesystem {
 public:
  struct Options {
    bool read_only = false;
    std::uint32_t file_mask = 0, directory_mask = 0;  // bits that no mode shows
    // Of files below the root, in bytes, when it is limited; too_large when it is used up.
    std::shared_ptr<Usage> usage = nullptr;
    std::uint64_t quota = UINT64_MAX;
    // Told of everything that is asked for: somebody is at work.
    std::function<void()> used = nullptr;
  };

  View(std::shared_ptr<Filesystem> files, Options options)
      : files_(std::move(files)), options_(std::move(options)) {}
  ~View() override;

  bool read_only() const { return options_.read_only; }
  // The one who listens on behalf of this view's frontend; null: nobody (any more).
  void listen(const Observer* own);

  Task<Result<Attributes>> lookup(NodeId parent, std::string name) override;
  void forget(NodeId node, std::uint64_t references) override { files_->forget(node, references); }
  Task<Result<Attributes>> attributes(NodeId node) override;
  Task<Result<Attributes>> change(NodeId node, Changes changes,
                                  std::optional<HandleId> handle) override;
  Task<Result<Attributes>> mkdir(NodeId parent, std::string name, std::uint32_t mode,
                                 Caller caller) override;
  Task<Result<Attributes>> symlink(NodeId parent, std::string name, std::string target,
                                   Caller caller) override;
  Task<Result<Attributes>> mknod(NodeId parent, std::string name, Kind kind, std::uint32_t mode,
                                 Caller caller) override;
  Task<Result<std::string>> readlink(NodeId node) override { return files_->readlink(node); }
  Task<Result<>> unlink(NodeId parent, std::string name) override;
  Task<Result<>> rmdir(NodeId parent, std::string name) override;
  Task<Result<>> rename(NodeId parent, std::string name, NodeId new_parent, std::string new_name,
                        RenameMode mode) override;
  Task<Result<Attributes>> link(NodeId node, NodeId new_parent, std::string new_name) override;

  Task<Result<Opened>> open(NodeId node, OpenFlags flags) override;
  Task<Result<Opened>> create(NodeId parent, std::string name, std::uint32_t mode, OpenFlags flags,
                              bool exclusive, Caller caller) override;
  Task<Result<Bytes>> read(HandleId handle, std::uint64_t offset, std::uint32_t size) override;
  Task<Result<>> write(HandleId handle, std::uint64_t offset, ByteView data) override;
  Task<Result<>> flush(HandleId handle) override { return files_->flush(handle); }
  Task<Result<>> fsync(HandleId handle, bool data_only) override {
    return files_->fsync(handle, data_only);
  }
  Task<> release(HandleId handle) override;
  Task<Result<std::uint64_t>> seek(HandleId handle, std::uint64_t offset, SeekFor what) override {
    return files_->seek(handle, offset, what);
  }
  Task<Result<>> allocate(HandleId handle, std::uint64_t offset, std::uint64_t length,
                          AllocateMode mode) override;
  Task<Result<std::uint64_t>> copy_range(HandleId from, std::uint64_t offset, HandleId to,
                                         std::uint64_t to_offset, std::uint64_t length) override;

  Task<Result<HandleId>> open_directory(NodeId node) override;
  Task<Result<std::vector<DirectoryEntry>>> read_directory(HandleId handle, std::uint64_t after,
                                                           std::size_t max,
                                                           bool reference) override;
  Task<> close_directory(HandleId handle) override;
  Task<Result<>> sync_directory(NodeId node) override { return files_->sync_directory(node); }

  Task<Result<SpaceInfo>> space() override;

  Task<Result<Bytes>> xattr(NodeId node, std::string name) override {
    return files_->xattr(node, std::move(name));
  }
  Task<Result<std::vector<std::string>>> xattr_names(NodeId node) override {
    return files_->xattr_names(node);
  }
  Task<Result<>> set_xattr(NodeId node, std::string name, Bytes value, XattrMode mode) override;
  Task<Result<>> remove_xattr(NodeId node, std::string name) override;

  LockTable& locks() override { return files_->locks(); }
  Observers& observers() override { return files_->observers(); }

  Task<Result<>> close() override { co_return Result<>{}; }

 private:
  Result<> may_change() const;
  Task<Result<>> write_and_tell(HandleId handle, std::uint64_t offset, ByteView data);
  // view_quota.cc: what counts against the quota. The first two do nothing without one, the others
  // are for views that have one.
  Task<Result<>> grow(HandleId handle, std::uint64_t offset, std::uint64_t length);
  Task<Result<>> room_for(HandleId handle, std::uint64_t offset, std::uint64_t length);
  Task<std::uint64_t> size_of(NodeId node);
  struct Named {
    NodeId node;
    std::uint64_t size = 0;
  };
  // The file that has this name and no other.
  Task<std::optional<Named>> file_named(NodeId parent, std::string name);
  bool others() const { return files_->observers().any(own_); }
  Attributes shown(Attributes attributes) const;
  Result<Attributes> shown(Result<Attributes> attributes) const;
  void note(const Result<Opened>& opened, OpenFlags flags);
  void entry_changed(NodeId parent, const std::string& name);
  void node_changed(NodeId node, bool bytes);
  void handle_changed(HandleId handle);
  Task<bool> remove_unfinished(NodeId parent, std::string name);

  std::shared_ptr<Filesystem> files_;
  Options options_;
  const Observer* own_ = nullptr;
  struct Open {
    NodeId node;
    OpenFlags flags;
  };
  std::unordered_map<std::uint64_t, Open> open_;  // handles that can change their node; or all
  struct Listing {
    NodeId directory;
    std::vector<std::string> expired;  // uploads that nobody will go on with
  };
  std::unordered_map<std::uint64_t, Listing> listings_;
};

}  // namespace lafs::fs
