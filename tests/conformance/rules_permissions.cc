// SPDX-License-Identifier: Apache-2.0
// What other users may not do. Each rule acts as "nobody" in a child process.
#include "tests/conformance/sys.h"

namespace conformance {

namespace {

int open_as_nobody(const std::string& d, const char* name, int flags) {
  return as_user(nobody, d, [&] { return error_of(::open(name, flags, 0644)); });
}

void files(const std::string& d) {
  need_root();
  MUST(::chmod(d.c_str(), 0755) == 0);
  write_file(d + "/private", "x", 0600);
  write_file(d + "/readable", "x", 0644);
  MUST(open_as_nobody(d, "private", O_RDONLY) == EACCES);
  MUST(open_as_nobody(d, "readable", O_RDONLY) == 0);
  MUST(open_as_nobody(d, "readable", O_WRONLY) == EACCES);
  MUST(open_as_nobody(d, "readable", O_RDONLY | O_TRUNC) == EACCES);
  MUST(as_user(nobody, d, [] { return error_of(::access("private", R_OK)); }) == EACCES);
  MUST(as_user(nobody, d, [] { return error_of(::access("readable", R_OK)); }) == 0);
  MUST(read_file(d + "/readable") == "x");
}

void directories(const std::string& d) {
  need_root();
  MUST(::chmod(d.c_str(), 0755) == 0);
  write_file(d + "/f", "x");
  MUST(open_as_nobody(d, "new", O_WRONLY | O_CREAT) == EACCES);
  MUST(as_user(nobody, d, [] { return error_of(::mkdir("new", 0755)); }) == EACCES);
  MUST(as_user(nobody, d, [] { return error_of(::unlink("f")); }) == EACCES);
  MUST(as_user(nobody, d, [] { return error_of(::rename("f", "g")); }) == EACCES);
  MUST(as_user(nobody, d, [] { return error_of(::symlink("f", "g")); }) == EACCES);
  MUST(names_in(d) == std::vector<std::string>{"f"});
}

void searching(const std::string& d) {
  need_root();
  MUST(::chmod(d.c_str(), 0755) == 0);
  MUST(::mkdir((d + "/closed").c_str(), 0700) == 0);
  MUST(::mkdir((d + "/blind").c_str(), 0711) == 0);  // names known may be used, not listed
  write_file(d + "/closed/f", "x");
  write_file(d + "/blind/f", "x");
  MUST(open_as_nobody(d, "closed/f", O_RDONLY) == EACCES);
  MUST(open_as_nobody(d, "closed", O_RDONLY | O_DIRECTORY) == EACCES);
  MUST(open_as_nobody(d, "blind/f", O_RDONLY) == 0);
  MUST(open_as_nobody(d, "blind", O_RDONLY | O_DIRECTORY) == EACCES);
}

void attributes(const std::string& d) {
  need_root();
  MUST(::chmod(d.c_str(), 0777) == 0);
  write_file(d + "/f", "x", 0666);
  MUST(::chmod((d + "/f").c_str(), 0666) == 0);
  MUST(as_user(nobody, d, [] { return error_of(::chmod("f", 0777)); }) == EPERM);
  MUST(as_user(nobody, d, [] { return error_of(::chown("f", nobody, nobody)); }) == EPERM);
  const timespec old[2] = {{1, 0}, {1, 0}};
  MUST(as_user(nobody, d, [&] { return error_of(::utimensat(AT_FDCWD, "f", old, 0)); }) == EPERM);
  // Who may write may say "now".
  MUST(as_user(nobody, d, [] { return error_of(::utimensat(AT_FDCWD, "f", nullptr, 0)); }) == 0);
}

void owner_is_who_created(const std::string& d) {
  need_root();
  MUST(::chmod(d.c_str(), 0777) == 0);
  MUST(open_as_nobody(d, "f", O_WRONLY | O_CREAT) == 0);
  MUST(as_user(nobody, d, [] { return error_of(::mkdir("dir", 0755)); }) == 0);
  MUST(as_user(nobody, d, [] { return error_of(::symlink("f", "l")); }) == 0);
  MUST(stat_of(d + "/f").st_uid == nobody && stat_of(d + "/f").st_gid == nobody);
  MUST(stat_of(d + "/dir").st_uid == nobody);
  MUST(lstat_of(d + "/l").st_uid == nobody);
  MUST(as_user(nobody, d, [] { return error_of(::chmod("f", 0600)); }) == 0);
  MUST(as_user(nobody, d, [] { return error_of(::chown("f", 0, 0)); }) == EPERM);
}

void sticky_directory(const std::string& d) {
  need_root();
  MUST(::chmod(d.c_str(), 01777) == 0);
  write_file(d + "/of-root", "x", 0666);
  MUST(open_as_nobody(d, "of-nobody", O_WRONLY | O_CREAT) == 0);
  MUST(as_user(nobody, d, [] { return error_of(::unlink("of-root")); }) == EPERM);
  MUST(as_user(nobody, d, [] { return error_of(::rename("of-root", "mine")); }) == EPERM);
  MUST(as_user(nobody, d, [] { return error_of(::unlink("of-nobody")); }) == 0);
}

void open_handles_keep_their_right(const std::string& d) {
  need_root();
  MUST(::chmod(d.c_str(), 0777) == 0);
  MUST(as_user(nobody, d, [] {
         const int fd = ::open("f", O_RDWR | O_CREAT, 0600);
         if (fd < 0 || ::fchmod(fd, 0) != 0) return errno;
         if (::write(fd, "x", 1) != 1) return errno;
         char c = 0;
         if (::pread(fd, &c, 1, 0) != 1 || c != 'x') return 1;
         return ::open("f", O_RDONLY) < 0 ? 0 : 2;
       }) == 0);
}

}  // namespace

std::vector<Rule> permission_rules() {
  return {{"permissions/files", files},
          {"permissions/directories", directories},
          {"permissions/searching", searching},
          {"permissions/attributes", attributes},
          {"permissions/owner-is-creator", owner_is_who_created},
          {"permissions/sticky-directory", sticky_directory},
          {"permissions/open-handles", open_handles_keep_their_right}};
}

}  // namespace conformance
