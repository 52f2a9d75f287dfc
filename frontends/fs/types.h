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
  // Bytes that take room, when that is not all of them (a sparse file).
  std::optional<std::uint64_t> stored = std::nullopt;
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

// lseek(2): where the next data, or the next hole, begins. The end of a file counts as a hole.
enum class SeekFor : std::uint8_t { data, hole };

// fallocate(2). What grows a file makes it at least offset + length long.
enum class AllocateMode : std::uint8_t {
  grow,                  // room for the range, and at least that size
  keep_size,             // room for the range
  punch_hole,            // the range reads as zeros; the size stays
  zero_range,            // the range reads as zeros; may grow
  zero_range_keep_size,  // the range reads as zeros; the size stays
};

enum class RenameMode : std::uint8_t { replace, no_replace, exchange };
enum class XattrMode : std::uint8_t { set, create, replace };

}  // namespace lafs::fs
