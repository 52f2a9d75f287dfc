// SPDX-License-Identifier: Apache-2.0
#pragma once

// Paths over a Filesystem, for protocols that speak in paths. A walker never leaves its root: ".."
// at the top stays there, and an absolute symbolic link begins at the root, as after chroot(2).
// ".." after a symbolic link means the directory that the link led to, as everywhere in POSIX.
//
// Paths are absolute or below "/"; double slashes and "." fall away. A trailing slash asks for a
// directory. I/O thread only.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/fs/filesystem.h"

namespace lafs::fs {

// One reference on a node, given back when it goes away.
class NodeRef {
 public:
  NodeRef() = default;
  NodeRef(Filesystem* files, Attributes attributes) : files_(files), attributes_(attributes) {}
  NodeRef(NodeRef&& other) noexcept
      : files_(std::exchange(other.files_, nullptr)), attributes_(other.attributes_) {}
  NodeRef& operator=(NodeRef&& other) noexcept {
    std::swap(files_, other.files_);
    std::swap(attributes_, other.attributes_);
    return *this;
  }
  ~NodeRef() {
    if (files_ && id() != root_node) files_->forget(id(), 1);
  }

  NodeId id() const { return attributes_.id; }
  // As they were when the node was found.
  const Attributes& attributes() const { return attributes_; }
  bool is(Kind kind) const { return attributes_.kind == kind; }

 private:
  Filesystem* files_ = nullptr;
  Attributes attributes_;
};

enum class LastLink { follow, keep };  // what to do with a symbolic link at a path's end

class Walker {
 public:
  static constexpr std::size_t path_max = 4096;
  static constexpr unsigned links_max = 40;

  explicit Walker(Filesystem& files) : files_(files) {}

  // What exists there. not_found, not_directory, symlink_loop, name_too_long, bad_name.
  Task<Result<NodeRef>> node(std::string path, LastLink last = LastLink::follow);

  // A name in a directory: for what creates, removes and renames.
  struct Place {
    NodeRef directory;
    std::string name;              // empty: the path is "/" or ends in ".."; then `node` is set
    std::optional<NodeRef> node;   // what has that name
    bool wants_directory = false;  // the path ended with a slash
    std::string path;              // without links, "." and "..": "/a/b"
  };
  Task<Result<Place>> place(std::string path, LastLink last = LastLink::keep);

  // The path without links, "." and "..". The last name need not exist.
  Task<Result<std::string>> real_path(std::string path);

 private:
  struct Walk;
  Task<Result<>> step(Walk& walk, LastLink last);

  Filesystem& files_;
};

// `path` as seen from `directory`; `path` alone when it is absolute. Nothing is resolved.
std::string join_path(std::string_view directory, std::string_view path);

}  // namespace lafs::fs
