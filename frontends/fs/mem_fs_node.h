// SPDX-License-Identifier: Apache-2.0
#pragma once

// What MemFs keeps of a node and of a handle. For its own source files only.

#include "frontends/fs/mem_fs.h"

namespace lafs::fs {

struct MemFs::Node {
  Attributes attributes;
  std::uint64_t references = 0;
  std::uint64_t opens = 0;
  std::map<std::string, Bytes> xattrs;
  SparseBytes content;
  std::string target;
  // Directories. A name keeps its cookie while it exists, whatever node it comes to stand for, so
  // that a listing meets it once.
  Node* parent = nullptr;
  std::uint64_t next_cookie = 1;
  std::map<std::string, std::uint64_t> cookies;
  struct Entry {
    std::string name;
    Node* node;
  };
  std::map<std::uint64_t, Entry> entries;

  bool is_directory() const { return attributes.kind == Kind::directory; }
  void modified(const timespec& when) {
    attributes.times.modified = attributes.times.changed = when;
  }
};

struct MemFs::Handle {
  Node* node;
  OpenFlags flags;
};

}  // namespace lafs::fs
