// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/convert.h"

#include <catch2/catch.hpp>

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <sys/xattr.h>

#include <set>

using namespace lafs;
using namespace lafs::fuse;

TEST_CASE("every error has an errno that is an error and does not turn an operation off") {
  std::set<int> used;
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i) {
    const auto code = static_cast<Errc>(i);
    INFO(name_of(code));
    const int number = to_errno(code);
    used.insert(number);
    CHECK(number > 0);
    CHECK(number != ENOSYS);
    // A stale handle makes the kernel repeat the whole path, an ENODEV looks like an unmount.
    CHECK(number != ESTALE);
    CHECK(number != ENODEV);
    // What says nothing to a user must be in the log.
    if (number == EIO || number == EREMOTEIO) CHECK(wants_log(code));
  }
  CHECK(used.size() > 20);
}

TEST_CASE("errors that POSIX programs look for have their own numbers") {
  CHECK(to_errno(Errc::not_found) == ENOENT);
  CHECK(to_errno(Errc::exists) == EEXIST);
  CHECK(to_errno(Errc::not_directory) == ENOTDIR);
  CHECK(to_errno(Errc::is_directory) == EISDIR);
  CHECK(to_errno(Errc::not_empty) == ENOTEMPTY);
  CHECK(to_errno(Errc::name_too_long) == ENAMETOOLONG);
  CHECK(to_errno(Errc::access_denied) == EACCES);
  CHECK(to_errno(Errc::not_permitted) == EPERM);
  CHECK(to_errno(Errc::read_only) == EROFS);
  CHECK(to_errno(Errc::no_space) == ENOSPC);
  CHECK(to_errno(Errc::no_attribute) == ENODATA);
  CHECK(to_errno(Errc::too_large) == EFBIG);
  CHECK(to_errno(Errc::bad_argument) == EINVAL);
  for (const auto code : {Errc::not_found, Errc::exists, Errc::not_empty, Errc::no_attribute}) {
    CHECK_FALSE(wants_log(code));
  }
}

TEST_CASE("attributes become a stat with the kind in the mode") {
  fs::Attributes a;
  a.id = {77};
  a.mode = 04755;
  a.uid = 1;
  a.gid = 2;
  a.links = 3;
  a.size = 1025;
  a.times = {{1, 2}, {3, 4}, {5, 6}};
  const std::pair<fs::Kind, std::uint32_t> kinds[] = {{fs::Kind::file, S_IFREG},
                                                      {fs::Kind::directory, S_IFDIR},
                                                      {fs::Kind::symlink, S_IFLNK},
                                                      {fs::Kind::fifo, S_IFIFO},
                                                      {fs::Kind::socket, S_IFSOCK}};
  for (const auto& [kind, type] : kinds) {
    a.kind = kind;
    CHECK(to_stat(a).st_mode == (type | 04755));
  }
  const auto s = to_stat(a, 4096);
  CHECK(s.st_ino == 77);
  CHECK(s.st_uid == 1);
  CHECK(s.st_gid == 2);
  CHECK(s.st_nlink == 3);
  CHECK(s.st_size == 1025);
  CHECK(s.st_blocks == 3);
  CHECK(s.st_blksize == 4096);
  CHECK(s.st_atim.tv_sec == 1);
  CHECK(s.st_mtim.tv_sec == 3);
  CHECK(s.st_ctim.tv_nsec == 6);
  a.mode = 0xffffffff;  // stray bits do not change the kind
  CHECK((to_stat(a).st_mode & S_IFMT) == S_IFSOCK);
  a.size = ~0ull;  // a size that some directory entry claims
  CHECK(to_stat(a).st_size > 0);
}

TEST_CASE("open flags say what a handle may do, for all access modes") {
  for (const int extra : {0, O_APPEND, O_TRUNC, O_APPEND | O_TRUNC, O_CREAT | O_EXCL | O_SYNC}) {
    CHECK(to_open_flags(O_RDONLY | extra).read);
    CHECK_FALSE(to_open_flags(O_RDONLY | extra).write);
    CHECK_FALSE(to_open_flags(O_WRONLY | extra).read);
    CHECK(to_open_flags(O_WRONLY | extra).write);
    CHECK(to_open_flags(O_RDWR | extra).read);
    CHECK(to_open_flags(O_RDWR | extra).write);
    CHECK(to_open_flags(O_RDWR | extra).append == ((extra & O_APPEND) != 0));
    CHECK(to_open_flags(O_RDWR | extra).truncate == ((extra & O_TRUNC) != 0));
  }
}

TEST_CASE("a setattr changes what its bits name and nothing else, for all combinations") {
  struct stat wanted{};
  wanted.st_mode = S_IFREG | 0640;
  wanted.st_uid = 10;
  wanted.st_gid = 20;
  wanted.st_size = 30;
  wanted.st_atim = {40, 41};
  wanted.st_mtim = {50, 51};
  for (int bits = 0; bits < 1 << 12; ++bits) {
    const auto c = to_changes(wanted, bits);
    const auto asked = [&](int bit) { return (bits & bit) != 0; };
    bool right = c.mode.has_value() == asked(FUSE_SET_ATTR_MODE);
    right = right && c.uid.has_value() == asked(FUSE_SET_ATTR_UID);
    right = right && c.gid.has_value() == asked(FUSE_SET_ATTR_GID);
    right = right && c.size.has_value() == asked(FUSE_SET_ATTR_SIZE);
    right = right && c.accessed_now == asked(FUSE_SET_ATTR_ATIME_NOW);
    right = right && c.modified_now == asked(FUSE_SET_ATTR_MTIME_NOW);
    right = right && c.accessed.has_value() ==
                         (asked(FUSE_SET_ATTR_ATIME) && !asked(FUSE_SET_ATTR_ATIME_NOW));
    right = right && c.modified.has_value() ==
                         (asked(FUSE_SET_ATTR_MTIME) && !asked(FUSE_SET_ATTR_MTIME_NOW));
    right = right && c.mode.value_or(0640) == 0640 && c.size.value_or(30) == 30;
    if (!right) FAIL(bits);
  }
  const auto c = to_changes(wanted, FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME);
  CHECK(c.accessed->tv_nsec == 41);
  CHECK(c.modified->tv_nsec == 51);
}

TEST_CASE("flags we do not know are not guessed") {
  CHECK(to_rename_mode(0) == fs::RenameMode::replace);
  CHECK(to_rename_mode(1) == fs::RenameMode::no_replace);
  CHECK(to_rename_mode(2) == fs::RenameMode::exchange);
  for (const unsigned flags : {3u, 4u, 5u, 8u, ~0u}) CHECK_FALSE(to_rename_mode(flags));
  CHECK(to_xattr_mode(0) == fs::XattrMode::set);
  CHECK(to_xattr_mode(XATTR_CREATE) == fs::XattrMode::create);
  CHECK(to_xattr_mode(XATTR_REPLACE) == fs::XattrMode::replace);
  CHECK_FALSE(to_xattr_mode(XATTR_CREATE | XATTR_REPLACE));
}

TEST_CASE("set-id bits go where they mean execution") {
  CHECK(without_set_id(0644) == 0644);
  CHECK(without_set_id(04755) == 0755);
  CHECK(without_set_id(06755) == 0755);
  CHECK(without_set_id(02644) == 02644);  // mandatory locking, once
  CHECK(without_set_id(01777) == 01777);
}

TEST_CASE("space is never zero of zero and never divides by zero") {
  fs::SpaceInfo info;
  info.total = 1 << 30;
  info.available = 1 << 29;
  info.block_size = 0;
  CHECK(to_statvfs(info).f_blocks == (1 << 30) / 4096);
  info.block_size = 1024;
  CHECK(to_statvfs(info).f_bavail == (1 << 29) / 1024);
  CHECK(to_statvfs(info).f_frsize == to_statvfs(info).f_bsize);
  CHECK(to_statvfs(info).f_namemax == 255);
}
