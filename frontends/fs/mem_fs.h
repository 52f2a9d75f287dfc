// SPDX-License-Identifier: Apache-2.0
#pragma once

// A complete filesystem in memory: the fake that frontends are tested with, and the reference that
// GridFs is compared to. Every rule of filesystem.h holds here, including those that are easy to
// forget: files without a name, listings while names come and go, sparse files, a full disk.
//
// Operations end at once, unless Options::pause makes them suspend first.

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "frontends/fs/filesystem.h"
#include "frontends/fs/sparse_bytes.h"

namespace lafs::fs {

class MemFs final : public Filesystem {
 public:
  struct Options {
    std::uint64_t capacity = 1ull << 30;  // bytes of content; what would need more is no_space
    bool read_only = false;
    bool immutable_content = false;        // what open() says of files opened without write
    std::uint32_t uid = 0, gid = 0;        // of the root directory
    std::uint32_t mode = 0755;             // of the root directory
    std::function<timespec()> clock = {};  // the wall clock when empty
    std::function<Task<>()> pause =
        {};  // awaited before each operation: lets them overtake each other
  };

  MemFs();
  explicit MemFs(Options options);
  ~MemFs() override;

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
  Task<Result<std::string>> readlink(NodeId node) override;
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
  Task<Result<>> flush(HandleId handle) override;
  Task<Result<>> fsync(HandleId handle, bool data_only) override;
  Task<> release(HandleId handle) override;
  Task<Result<std::uint64_t>> seek(HandleId handle, std::uint64_t offset, SeekFor what) override;
  Task<Result<>> allocate(HandleId handle, std::uint64_t offset, std::uint64_t length,
                          AllocateMode mode) override;
  Task<Result<std::uint64_t>> copy_range(HandleId from, std::uint64_t offset, HandleId to,
                                         std::uint64_t to_offset, std::uint64_t length) override;

  Task<Result<HandleId>> open_directory(NodeId node) override;
  Task<Result<std::vector<DirectoryEntry>>> read_directory(HandleId handle, std::uint64_t after,
                                                           std::size_t max,
                                                           bool reference) override;
  Task<> close_directory(HandleId handle) override;
  Task<Result<>> sync_directory(NodeId node) override;

  Task<Result<SpaceInfo>> space() override;

  Task<Result<Bytes>> xattr(NodeId node, std::string name) override;
  Task<Result<std::vector<std::string>>> xattr_names(NodeId node) override;
  Task<Result<>> set_xattr(NodeId node, std::string name, Bytes value, XattrMode mode) override;
  Task<Result<>> remove_xattr(NodeId node, std::string name) override;

  LockTable& locks() override { return locks_; }
  Observers& observers() override { return observers_; }

  Task<Result<>> close() override;

  // For tests: what is alive. A mount that gave everything back leaves the named nodes only.
  std::size_t nodes() const { return nodes_.size(); }
  std::size_t handles() const { return handles_.size(); }
  std::uint64_t references() const;  // over all nodes but the root
  bool is_closed() const { return closed_; }

 private:
  struct Node;
  struct Handle;

  Task<> pause();
  timespec now() const;
  Result<Node*> find(NodeId id, std::optional<HandleId> through = {});
  Result<Node*> find_directory(NodeId id);
  Result<Handle*> find_handle(HandleId id);
  Node* child(Node& directory, const std::string& name);
  Result<Node*> add(NodeId parent, const std::string& name, Kind kind, std::uint32_t mode,
                    Caller caller);
  void link(Node& directory, const std::string& name, Node& node);
  void unlink_entry(Node& directory, const std::string& name);
  void lose_name(Node& node, const timespec& when);
  Result<> remove(NodeId parent, const std::string& name, bool directory);
  bool is_below(const Node& node, const Node& ancestor) const;
  Result<> may_change() const;
  Result<> resize(Node& node, std::uint64_t size);
  Opened open_node(Node& node, OpenFlags flags);
  void drop_if_unused(Node& node);

  Options options_;
  LockTable locks_;
  Observers observers_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Node>> nodes_;
  std::unordered_map<std::uint64_t, Handle> handles_;
  std::uint64_t next_node_ = root_node.value;
  std::uint64_t next_handle_ = 1;
  std::uint64_t stored_ = 0;  // over all nodes
  bool closed_ = false;
};

}  // namespace lafs::fs
