// SPDX-License-Identifier: Apache-2.0
#pragma once

// INTERFACE 2: a filesystem, as FUSE, SFTP and FTP need it. Protocol-neutral and node-based: a path
// cannot say what writing to a deleted file means. Bodies: GridFs (the grid), MemFs (memory,
// tests).
//
// Nodes: what lookup, create, mkdir, symlink and mknod return has one reference more; forget()
// gives references back. A node is dropped when it has no name, no reference and no open handle.
// Other node arguments must hold a reference, else Errc::bad_handle.
//
// Permission bits are data here; whoever faces users checks them (FUSE: default_permissions).
// All calls run on the I/O thread and may be in flight at once.

#include <string>

#include "frontends/fs/locks.h"
#include "frontends/fs/observers.h"
#include "frontends/fs/types.h"
#include "grid/base/task.h"

namespace lafs::fs {

class Filesystem {
 public:
  virtual ~Filesystem() = default;

  // Names. A name is UTF-8, 1..255 bytes, without '/' and NUL, not "." or "..": else bad_name or
  // name_too_long. Changing a read-only filesystem is Errc::read_only.
  virtual Task<Result<Attributes>> lookup(NodeId parent, std::string name) = 0;
  virtual void forget(NodeId node, std::uint64_t references) = 0;
  virtual Task<Result<Attributes>> attributes(NodeId node) = 0;
  // `handle`: the open file this came through (ftruncate), which may have lost its name.
  virtual Task<Result<Attributes>> change(NodeId node, Changes changes,
                                          std::optional<HandleId> handle) = 0;
  virtual Task<Result<Attributes>> mkdir(NodeId parent, std::string name, std::uint32_t mode,
                                         Caller caller) = 0;
  virtual Task<Result<Attributes>> symlink(NodeId parent, std::string name, std::string target,
                                           Caller caller) = 0;
  // Fifos and sockets: names for local programs to meet at.
  virtual Task<Result<Attributes>> mknod(NodeId parent, std::string name, Kind kind,
                                         std::uint32_t mode, Caller caller) = 0;
  virtual Task<Result<std::string>> readlink(NodeId node) = 0;
  virtual Task<Result<>> unlink(NodeId parent,
                                std::string name) = 0;  // is_directory for a directory
  virtual Task<Result<>> rmdir(NodeId parent, std::string name) = 0;  // not_directory, not_empty
  // Replaces like POSIX: a file a file, a directory an empty directory. A directory cannot go below
  // itself (bad_argument). Both names may be the same.
  virtual Task<Result<>> rename(NodeId parent, std::string name, NodeId new_parent,
                                std::string new_name, RenameMode mode) = 0;

  // Another name for a file. not_permitted where that cannot be said: directories, and everything
  // on a grid, whose entries hold content by value.
  virtual Task<Result<Attributes>> link(NodeId node, NodeId new_parent, std::string new_name) = 0;

  // Files. A handle's reads see its own and all earlier writes through any handle of the node.
  virtual Task<Result<Opened>> open(NodeId node, OpenFlags flags) = 0;
  virtual Task<Result<Opened>> create(NodeId parent, std::string name, std::uint32_t mode,
                                      OpenFlags flags, bool exclusive, Caller caller) = 0;
  // Short only at the end of the file.
  virtual Task<Result<Bytes>> read(HandleId handle, std::uint64_t offset, std::uint32_t size) = 0;
  // All or nothing. `data` must stay until the task ends. With append, `offset` is ignored.
  virtual Task<Result<>> write(HandleId handle, std::uint64_t offset, ByteView data) = 0;
  // A descriptor of this handle was closed: reports what happened to the data. May come often.
  virtual Task<Result<>> flush(HandleId handle) = 0;
  virtual Task<Result<>> fsync(HandleId handle, bool data_only) = 0;
  virtual Task<> release(HandleId handle) = 0;
  // At or after `offset`. bad_range: it is at or past the end, or only a hole follows.
  virtual Task<Result<std::uint64_t>> seek(HandleId handle, std::uint64_t offset, SeekFor what) = 0;
  // bad_argument for an empty range, too_large past what a file can be.
  virtual Task<Result<>> allocate(HandleId handle, std::uint64_t offset, std::uint64_t length,
                                  AllocateMode mode) = 0;
  // Copies up to `length` bytes, ends at the source's end, and returns how many. A whole file that
  // is copied over all there was costs no bytes. bad_argument when both ranges are of one file and
  // overlap.
  virtual Task<Result<std::uint64_t>> copy_range(HandleId from, std::uint64_t offset, HandleId to,
                                                 std::uint64_t to_offset, std::uint64_t length) = 0;

  // Directories. A handle lists the directory as it was at some moment since it was opened; entries
  // neither appear twice nor get lost while others come and go. `after` 0 starts. Returns at most
  // `max` entries, without "." and "..", each of whose nodes has one reference more when
  // `reference`; empty at the end.
  virtual Task<Result<HandleId>> open_directory(NodeId node) = 0;
  virtual Task<Result<std::vector<DirectoryEntry>>> read_directory(HandleId handle,
                                                                   std::uint64_t after,
                                                                   std::size_t max,
                                                                   bool reference) = 0;
  virtual Task<> close_directory(HandleId handle) = 0;
  virtual Task<Result<>> sync_directory(NodeId node) = 0;

  virtual Task<Result<SpaceInfo>> space() = 0;

  // Extended attributes: no_attribute when absent.
  virtual Task<Result<Bytes>> xattr(NodeId node, std::string name) = 0;
  virtual Task<Result<std::vector<std::string>>> xattr_names(NodeId node) = 0;
  virtual Task<Result<>> set_xattr(NodeId node, std::string name, Bytes value, XattrMode mode) = 0;
  virtual Task<Result<>> remove_xattr(NodeId node, std::string name) = 0;

  // Shared by all frontends of this filesystem.
  virtual LockTable& locks() = 0;
  // Told of what other writers changed on the grid.
  virtual Observers& observers() = 0;

  // Brings everything that was acknowledged to where it is safe, then lets go. Call once, last.
  virtual Task<Result<>> close() = 0;
};

// bad_name or name_too_long, as above.
Result<> check_name(std::string_view name);

}  // namespace lafs::fs
