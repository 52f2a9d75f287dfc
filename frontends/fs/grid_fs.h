// SPDX-License-Identifier: Apache-2.0
#pragma once

// The filesystem on a grid: a directory cap is the root; every name is an entry of a dirnode, every
// file a capability, and what POSIX knows beyond that is metadata of the entry (facts.h).
//
// Changes never wait for the grid: they are in the write path's journal when a call returns
// (cache/write_back.h), which brings them to the grid afterwards. What people see is the grid's
// snapshot of a directory with what is pending laid over it. fsync() waits until what was written
// cannot be lost by this machine, with Durability::grid until it is on enough servers.

#include <map>
#include <string>

#include "cache/write_back.h"
#include "frontends/fs/filesystem.h"
#include "frontends/fs/node_table.h"

namespace lafs::fs {

class GridFs : public Filesystem {
 public:
  // What a successful close means; fsync is at least `local`.
  enum class Durability : std::uint8_t {
    journal,  // no crash of this process takes it
    local,    // nor a loss of power (sync=close)
    grid,     // nor the loss of this machine
  };
  struct Options {
    std::uint32_t uid = 0, gid = 0;  // owner of what says nothing about its owner
    std::uint32_t file_mode = 0644, directory_mode = 0755;  // likewise
    bool read_only = false;
    Durability close = Durability::journal, fsync = Durability::local;
    // What is not cached while the grid is away: an error (after `read_timeout`, at the latest), or
    // waiting until it is back.
    bool hard = false;
    std::optional<Duration> read_timeout = std::nullopt;
  };

  // `root`: a directory cap. `client` and `write_back` outlive this.
  GridFs(cache::CachedClient& client, cache::WriteBack& write_back, cache::Cap root,
         Options options);
  ~GridFs() override;

  // From now on, close and fsync mean no less than this.
  void keep_at_least(Durability close, Durability fsync) {
    options_.close = std::max(options_.close, close);
    options_.fsync = std::max(options_.fsync, fsync);
  }
  // Whether names in a directory that was read can be changed.
  bool writable(NodeId directory);

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

 private:
  struct OpenFile {
    Node* node;
    OpenFlags flags;
  };
  struct OpenDirectory {
    Node* node;
    // As it was when the listing started; the cookie is the index + 1.
    std::vector<std::pair<std::string, std::optional<cache::Child>>> entries;
  };

  // --- names (grid_fs_names.cc)
  // The snapshot of a directory, brought up to date; null for one that the grid does not have yet.
  Task<Result<cache::CachedDirectory*>> directory_of(Node& node);
  // Likewise for a change: any snapshot is good enough, since changes are merged when they are
  // published.
  Task<Result<cache::CachedDirectory*>> writable_directory_of(Node& node);
  Task<Result<>> open_directory_of(Node& node);
  // The node for a name, made from the entry when needed. not_found when there is none.
  Result<Node*> node_at(Node& parent, const cache::CachedDirectory* directory,
                        const std::string& name);
  Node& node_for(Node& parent, cache::InodePtr inode);
  // Makes what the grid's entry says true of the node, unless we have changes of our own.
  void adopt(Node& node, const cache::Child& child);
  // What the snapshot has under the node's name.
  std::optional<cache::Cap> base_of(const Node& node) const;
  static std::optional<cache::Cap> base_at(const Node& parent, const std::string& name);
  // A new inode with a name, not yet committed.
  cache::InodePtr new_inode(Node& parent, const std::string& name, Kind kind, std::uint32_t mode,
                            Caller caller);
  Result<Node*> add(Node& parent, cache::InodePtr inode);
  Task<Result<Attributes>> add_entry(NodeId parent, std::string name, Kind kind,
                                     std::optional<cache::Cap> cap, std::uint32_t mode,
                                     Caller caller);
  Task<Result<>> check_replaceable(Node& source, Node& target);
  Task<Result<>> check_empty(Node& node);
  Result<> exchange(Node& a, Node& b);
  Result<> remove_entry(Node& parent, Node& node);
  void lose_name(Node& node);
  Result<> check_writable() const;
  void touch_directory(Node& node);
  Result<> change_facts(Node& node, cache::PosixFacts facts);
  void renamed_by_merge(cache::InodeNo directory, const std::string& from, cache::Inode& inode);

  // --- files (grid_fs_files.cc)
  Result<OpenFile*> file(HandleId handle);
  Attributes attributes_of(const Node& node) const;
  // Makes sure that the size is right: mutable files have to be asked.
  Task<Result<>> learn_size(Node& node);
  Task<Result<>> set_size(Node& node, std::uint64_t size);
  Task<Result<Bytes>> fetch(const Node& node, cache::Cap cap, std::uint64_t offset,
                            std::uint64_t size);
  Task<Result<Bytes>> read_node(Node& node, std::uint64_t offset, std::uint64_t size);
  Opened opened(Node& node, OpenFlags flags);
  Task<Result<>> settle(Node& node, Durability durability);
  Result<bool> adopt_range(Node& source, std::uint64_t offset, Node& target,
                           std::uint64_t to_offset, std::uint64_t length);

  cache::CachedClient& client_;
  cache::WriteBack& write_back_;
  Options options_;
  LockTable locks_;
  Observers observers_;
  NodeTable nodes_;
  std::uint64_t next_handle_ = 1;
  std::map<HandleId, OpenFile> files_;
  std::map<HandleId, OpenDirectory> directories_;
  bool closing_ = false;
  std::optional<SpaceInfo> space_;
  TimePoint space_until_{};
};

}  // namespace lafs::fs
