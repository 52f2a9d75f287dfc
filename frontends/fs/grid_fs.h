// SPDX-License-Identifier: Apache-2.0
#pragma once

// The filesystem on a grid: a directory cap is the root; every name is an entry of a dirnode, every
// file a capability, and what POSIX knows beyond that is metadata of the entry (facts.h).
//
// Writes go to a staging file on the local disk. flush() and fsync() wait until the content is on
// enough servers and its entry in the directory; so do changes of names and attributes. A new
// file's name reaches the grid with its first flush. What cannot be stored is kept, shown as
// `user.lafs.state`, and tried again until it succeeds or the filesystem is closed.

#include <map>
#include <string>

#include "cache/cached_client.h"
#include "frontends/fs/filesystem.h"
#include "frontends/fs/node_table.h"

namespace lafs::fs {

class GridFs : public Filesystem {
 public:
  struct Options {
    std::string staging_directory;   // exists, private to us
    std::uint32_t uid = 0, gid = 0;  // owner of what says nothing about its owner
    std::uint32_t file_mode = 0644, directory_mode = 0755;  // likewise
    bool read_only = false;
    Duration retry_every = std::chrono::seconds(10);  // how long a store that failed waits
  };

  // `root`: a directory cap. `client` outlives this.
  GridFs(asio::any_io_executor executor, cache::CachedClient& client, cache::Cap root,
         Options options);
  ~GridFs() override;

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
  // The directory behind a node, brought up to date.
  Task<Result<cache::CachedDirectory*>> directory_of(Node& node);
  Task<Result<cache::CachedDirectory*>> writable_directory_of(Node& node);
  // The living node for a name of an up-to-date directory, made from the entry when needed.
  // not_found when there is neither.
  Result<Node*> node_at(Node& parent, const cache::CachedDirectory& directory,
                        const std::string& name);
  // Makes what the entry says true of the node, unless we have changes of our own.
  void adopt(Node& node, const cache::Child& child);
  static grid::Edit set_edit(const Node& node, const std::string& name);
  static grid::Edit facts_edit(const Node& node);
  Task<Result<Attributes>> add_entry(NodeId parent, std::string name, Kind kind, cache::Cap cap,
                                     std::uint32_t mode, Caller caller);
  Task<Result<>> check_replaceable(Node& source, Node& target);
  Task<Result<>> check_empty(Node& node);
  Task<Result<>> exchange(Node& a, Node& b);
  Task<Result<>> remove_entry(Node& parent, Node& node);
  Result<> check_writable() const;
  void touch_directory(Node& node);
  void own(Node& node, const Node& parent, std::uint32_t mode, Caller caller) const;

  // --- files (grid_fs_files.cc)
  Result<OpenFile*> file(HandleId handle);
  Attributes attributes_of(const Node& node) const;
  // Makes sure that `node.size` is right: mutable files have to be asked.
  Task<Result<>> learn_size(Node& node);
  Task<Result<>> stage(Node& node);
  Task<Result<>> set_size(Node& node, std::uint64_t size);
  Task<Result<Bytes>> read_node(Node& node, std::uint64_t offset, std::uint64_t size);
  // Brings content and entry of a node to the grid. One at a time for each node.
  Task<Result<>> store(Node& node);
  Task<Result<>> store_now(Node& node);
  Task<Result<>> facts_were_changed(Node& node);
  Task<Result<cache::Cap>> upload(Node& node);
  Opened opened(Node& node, OpenFlags flags);
  Task<> keep_trying();

  asio::any_io_executor executor_;
  cache::CachedClient& client_;
  Options options_;
  LockTable locks_;
  Observers observers_;
  NodeTable nodes_;
  std::uint64_t next_handle_ = 1;
  std::map<HandleId, OpenFile> files_;
  std::map<HandleId, OpenDirectory> directories_;
  Signal stored_;  // some store() ended
  Signal closing_now_;
  bool closing_ = false;
  TaskGroup background_;
  std::optional<SpaceInfo> space_;
  TimePoint space_until_{};
};

}  // namespace lafs::fs
