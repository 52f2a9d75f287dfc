// SPDX-License-Identifier: Apache-2.0
#pragma once

// A client's packet, decoded. Fields that an operation does not have keep their defaults; what they
// mean for each operation stands beside it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "frontends/fs/types.h"
#include "frontends/sftp/wire.h"
#include "grid/base/result.h"

namespace lafs::sftp {

enum class Op : std::uint8_t {
  init,      // version
  open,      // path, flags, changes
  close,     // handle
  read,      // handle, offset, length
  write,     // handle, offset, data
  lstat,     // path
  fstat,     // handle
  stat,      // path
  setstat,   // path, changes
  fsetstat,  // handle, changes
  opendir,   // path
  readdir,   // handle
  remove,    // path
  mkdir,     // path, changes
  rmdir,     // path
  realpath,  // path
  rename,    // path, second: fails when it is there
  readlink,  // path
  symlink,   // second: the link's path; path: what it holds
  // Extensions.
  posix_rename,       // path, second: replaced when it is there
  statvfs,            // path
  fstatvfs,           // handle
  fsync,              // handle
  hardlink,           // path, second
  lsetstat,           // path, changes
  limits,             //
  expand_path,        // path
  home_directory,     // path: a user's name
  copy_data,          // handle, offset, length (0: to the end), second_handle, second_offset
  names_by_id,        // users, groups
  check_file_handle,  // handle, hashes, offset, length (0: to the end), block_size
  check_file_name,    // path, the same
  unknown,            // path: what it was
};

// Handles go over the wire as eight bytes; what is not that is no handle of ours.
inline constexpr std::uint64_t no_handle = 0;

struct Request {
  Op op = Op::unknown;
  std::uint32_t id = 0;
  std::string path, second;
  std::uint64_t handle = no_handle, second_handle = no_handle;
  std::uint64_t offset = 0, length = 0, second_offset = 0;
  std::uint32_t flags = 0, version = 0, block_size = 0;
  fs::Changes changes;
  std::string hashes;
  std::vector<std::uint32_t> users, groups;
  Bytes packet;                     // what it was decoded from, when there is data in it
  std::size_t begin = 0, size = 0;  // of the data in `packet`

  ByteView data() const { return ByteView(packet).subspan(begin, size); }
};

// `packet` is a whole one without its length. A request whose `bad` is set can be answered only by
// its id.
struct Decoded {
  Request request;
  bool bad = false;
};
Decoded decode(Bytes packet);

}  // namespace lafs::sftp
