// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every frontend says about files, in no protocol's words.

#include <time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grid/base/bytes.h"

namespace lafs::fs {

// Never reused while a filesystem lives; the inode number that people see.
struct NodeId {
  std::uint64_t value = 0;
  auto operator<=>(const NodeId&) const = default;
};
inline constexpr NodeId root_node{1};

struct HandleId {
  std::uint64_t value = 0;
  auto operator<=>(const HandleId&) const = default;
};

enum class Kind : std::uint8_t { file, directory, symlink, fifo, socket };

struct Times {
  timespec accessed{}, modified{}, changed{};
};

struct Attributes {
  NodeId id;
  Kind kind = Kind::file;
  std::uint32_t mode = 0;  // permission, set-id and sticky bits: 07777
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t links = 1;
  std::uint64_t size = 0;
  Times times;
};

// What to change; what is absent stays. set_now wins over a given time.
struct Changes {
  std::optional<std::uint32_t> mode = std::nullopt, uid = std::nullopt, gid = std::nullopt;
  std::optional<std::uint64_t> size = std::nullopt;
  std::optional<timespec> accessed = std::nullopt, modified = std::nullopt;
  bool accessed_now = false, modified_now = false;
};

// On whose behalf: becomes the owner of what is created.
struct Caller {
  std::uint32_t uid = 0, gid = 0;
};

struct OpenFlags {
  bool read = true;
  bool write = false;
  bool append = false;
  bool truncate = false;
};

struct Opened {
  HandleId handle;
  Attributes attributes;
  bool immutable_content = false;  // this handle's bytes never change: kernel caches may be kept
};

struct DirectoryEntry {
  std::string name;
  std::uint64_t cookie = 0;  // continue after this entry
  Attributes attributes;     // complete: listings cost no further look-ups
};

struct SpaceInfo {
  std::uint64_t total = 0, available = 0;  // bytes of files, after erasure coding; never 0 of 0
  std::uint64_t files = 0, files_free = 0;
  std::uint32_t block_size = 4096;
  std::uint32_t name_max = 255;
};

enum class RenameMode : std::uint8_t { replace, no_replace, exchange };
enum class XattrMode : std::uint8_t { set, create, replace };

}  // namespace lafs::fs
