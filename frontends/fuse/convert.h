// SPDX-License-Identifier: Apache-2.0
#pragma once

// Between our words and the kernel's: errors to errno, attributes to struct stat and back. Pure.

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <optional>

#include "frontends/fs/types.h"
#include "grid/base/errc.h"

namespace lafs::fuse {

// Never ENOSYS (the kernel would never ask for that operation again) and never 0.
int to_errno(Errc code);

// True for errors whose errno tells a user nothing: the context belongs into the log.
bool wants_log(Errc code);

std::uint32_t file_type(fs::Kind kind);  // S_IFREG ...

// `block_size` becomes st_blksize.
struct stat to_stat(const fs::Attributes& attributes, std::uint32_t block_size = 128 * 1024);
struct statvfs to_statvfs(const fs::SpaceInfo& space);

// O_* flags of open(2) and creat(2).
fs::OpenFlags to_open_flags(int flags);

// What FUSE_SET_ATTR_* bits of `to_set` ask for, out of `wanted`.
fs::Changes to_changes(const struct stat& wanted, int to_set);

// RENAME_* flags of renameat2(2); nothing for those we do not know.
std::optional<fs::RenameMode> to_rename_mode(unsigned flags);

// FALLOC_FL_* flags of fallocate(2); nothing for those we do not do.
std::optional<fs::AllocateMode> to_allocate_mode(int flags);

// XATTR_* flags of setxattr(2); nothing for those we do not know.
std::optional<fs::XattrMode> to_xattr_mode(int flags);

// `mode` without set-user-id, and without set-group-id where that means execution: what remains
// when somebody without CAP_FSETID changes the content, or anybody changes the owner.
std::uint32_t without_set_id(std::uint32_t mode);

}  // namespace lafs::fuse
