// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/convert.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/falloc.h>
#include <sys/xattr.h>

#include <algorithm>

#include "grid/base/bytes.h"

#ifndef RENAME_NOREPLACE  // glibc shows them with _GNU_SOURCE only
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE (1 << 1)
#endif

namespace lafs::fuse {

int to_errno(Errc code) {
  switch (code) {
    case Errc::bad_argument:
    case Errc::bad_cap:
    case Errc::bad_config:
      return EINVAL;
    case Errc::unsupported:
      return EOPNOTSUPP;
    case Errc::not_found:
      return ENOENT;
    case Errc::exists:
      return EEXIST;
    case Errc::not_directory:
      return ENOTDIR;
    case Errc::is_directory:
      return EISDIR;
    case Errc::not_empty:
      return ENOTEMPTY;
    case Errc::name_too_long:
      return ENAMETOOLONG;
    case Errc::bad_name:
      return EILSEQ;  // the kernel checked the rest: what is left is a name that is not UTF-8
    case Errc::symlink_loop:
      return ELOOP;
    case Errc::access_denied:
    case Errc::unauthorized:
      return EACCES;
    case Errc::not_permitted:
      return EPERM;
    case Errc::read_only:
      return EROFS;
    case Errc::no_attribute:
      return ENODATA;
    case Errc::no_servers:
    case Errc::unreachable:
      return EHOSTUNREACH;
    case Errc::timed_out:
      return ETIMEDOUT;
    case Errc::protocol:
    case Errc::bad_range:
    case Errc::refused:
    case Errc::conflict:
      return EREMOTEIO;
    case Errc::wrong_certificate:
      return EKEYREJECTED;
    case Errc::not_enough_shares:
    case Errc::unhappy:
    case Errc::corrupt:
    case Errc::io:
    case Errc::closed:
    case Errc::internal:
      return EIO;
    case Errc::no_space:
      return ENOSPC;
    case Errc::too_large:
      return EFBIG;
    case Errc::collision:
    case Errc::busy:
      return EBUSY;
    case Errc::cancelled:
      return EINTR;
    case Errc::bad_handle:
      return EBADF;
  }
  return EIO;
}

bool wants_log(Errc code) {
  switch (to_errno(code)) {
    case EIO:
    case EREMOTEIO:
    case EHOSTUNREACH:
    case ETIMEDOUT:
    case EKEYREJECTED:
    case EBADF:
      return true;
    default:
      return code == Errc::bad_cap || code == Errc::bad_config || code == Errc::unauthorized ||
             code == Errc::collision;
  }
}

std::uint32_t file_type(fs::Kind kind) {
  switch (kind) {
    case fs::Kind::file:
      return S_IFREG;
    case fs::Kind::directory:
      return S_IFDIR;
    case fs::Kind::symlink:
      return S_IFLNK;
    case fs::Kind::fifo:
      return S_IFIFO;
    case fs::Kind::socket:
      return S_IFSOCK;
  }
  return S_IFREG;
}

struct stat to_stat(const fs::Attributes& attributes, std::uint32_t block_size) {
  struct stat s{};
  s.st_ino = attributes.id.value;
  s.st_mode = file_type(attributes.kind) | (attributes.mode & 07777);
  s.st_nlink = attributes.links;
  s.st_uid = attributes.uid;
  s.st_gid = attributes.gid;
  s.st_size = static_cast<off_t>(std::min<std::uint64_t>(attributes.size, INT64_MAX));
  s.st_blksize = block_size;
  s.st_blocks = static_cast<blkcnt_t>(ceil_div(attributes.stored.value_or(attributes.size), 512));
  s.st_atim = attributes.times.accessed;
  s.st_mtim = attributes.times.modified;
  s.st_ctim = attributes.times.changed;
  return s;
}

struct statvfs to_statvfs(const fs::SpaceInfo& space) {
  struct statvfs s{};
  s.f_bsize = s.f_frsize = space.block_size ? space.block_size : 4096;
  s.f_blocks = space.total / s.f_frsize;
  s.f_bfree = s.f_bavail = space.available / s.f_frsize;
  s.f_files = space.files + space.files_free;
  s.f_ffree = s.f_favail = space.files_free;
  s.f_namemax = space.name_max;
  return s;
}

fs::OpenFlags to_open_flags(int flags) {
  const int access = flags & O_ACCMODE;
  return {.read = access == O_RDONLY || access == O_RDWR,
          .write = access == O_WRONLY || access == O_RDWR,
          .append = (flags & O_APPEND) != 0,
          .truncate = (flags & O_TRUNC) != 0};
}

fs::Changes to_changes(const struct stat& wanted, int to_set) {
  fs::Changes c;
  if (to_set & FUSE_SET_ATTR_MODE) c.mode = wanted.st_mode & 07777;
  if (to_set & FUSE_SET_ATTR_UID) c.uid = wanted.st_uid;
  if (to_set & FUSE_SET_ATTR_GID) c.gid = wanted.st_gid;
  if (to_set & FUSE_SET_ATTR_SIZE) c.size = static_cast<std::uint64_t>(wanted.st_size);
  c.accessed_now = (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0;
  c.modified_now = (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0;
  if ((to_set & FUSE_SET_ATTR_ATIME) && !c.accessed_now) c.accessed = wanted.st_atim;
  if ((to_set & FUSE_SET_ATTR_MTIME) && !c.modified_now) c.modified = wanted.st_mtim;
  return c;
}

std::optional<fs::RenameMode> to_rename_mode(unsigned flags) {
  if (flags == 0) return fs::RenameMode::replace;
  if (flags == RENAME_NOREPLACE) return fs::RenameMode::no_replace;
  if (flags == RENAME_EXCHANGE) return fs::RenameMode::exchange;
  return {};
}

std::optional<fs::AllocateMode> to_allocate_mode(int flags) {
  switch (flags) {
    case 0:
      return fs::AllocateMode::grow;
    case FALLOC_FL_KEEP_SIZE:
      return fs::AllocateMode::keep_size;
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
      return fs::AllocateMode::punch_hole;
    case FALLOC_FL_ZERO_RANGE:
      return fs::AllocateMode::zero_range;
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
      return fs::AllocateMode::zero_range_keep_size;
    default:
      return {};
  }
}

std::optional<fs::XattrMode> to_xattr_mode(int flags) {
  if (flags == 0) return fs::XattrMode::set;
  if (flags == XATTR_CREATE) return fs::XattrMode::create;
  if (flags == XATTR_REPLACE) return fs::XattrMode::replace;
  return {};
}

std::uint32_t without_set_id(std::uint32_t mode) {
  mode &= ~std::uint32_t{S_ISUID};
  if (mode & S_IXGRP) mode &= ~std::uint32_t{S_ISGID};
  return mode;
}

}  // namespace lafs::fuse
