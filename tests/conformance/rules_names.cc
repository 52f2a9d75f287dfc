// SPDX-License-Identifier: Apache-2.0
// Names: which are allowed, what finding and not finding them says, links.
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <algorithm>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

void missing_name(const std::string& d) {
  struct stat s{};
  MUST_FAIL(::stat((d + "/nothing").c_str(), &s), ENOENT);
  MUST_FAIL(::open((d + "/nothing").c_str(), O_RDONLY), ENOENT);
  MUST_FAIL(::open((d + "/nothing/below").c_str(), O_RDONLY | O_CREAT, 0644), ENOENT);
  MUST_FAIL(::unlink((d + "/nothing").c_str()), ENOENT);
  MUST_FAIL(::rmdir((d + "/nothing").c_str()), ENOENT);
}

void missing_name_appears(const std::string& d) {
  MUST(!exists(d + "/late"));
  write_file(d + "/late", "here");
  MUST(read_file(d + "/late") == "here");
  MUST(::unlink((d + "/late").c_str()) == 0);
  MUST(!exists(d + "/late"));
}

void file_as_directory(const std::string& d) {
  write_file(d + "/f", "x");
  struct stat s{};
  MUST_FAIL(::stat((d + "/f/below").c_str(), &s), ENOTDIR);
  MUST_FAIL(::mkdir((d + "/f/below").c_str(), 0755), ENOTDIR);
  MUST_FAIL(::unlink((d + "/f/below").c_str()), ENOTDIR);
  MUST_FAIL(::open((d + "/f").c_str(), O_RDONLY | O_DIRECTORY), ENOTDIR);
}

void longest_name(const std::string& d) {
  const std::string name(255, 'n');
  write_file(d + "/" + name, "x");
  MUST(names_in(d) == std::vector<std::string>{name});
  MUST(read_file(d + "/" + name) == "x");
  MUST(::rename((d + "/" + name).c_str(), (d + "/" + std::string(255, 'm')).c_str()) == 0);
}

void too_long_name(const std::string& d) {
  const std::string path = d + "/" + std::string(256, 'n');
  write_file(d + "/f", "x");
  struct stat s{};
  MUST_FAIL(::open(path.c_str(), O_WRONLY | O_CREAT, 0644), ENAMETOOLONG);
  MUST_FAIL(::mkdir(path.c_str(), 0755), ENAMETOOLONG);
  MUST_FAIL(::stat(path.c_str(), &s), ENAMETOOLONG);
  MUST_FAIL(::rename((d + "/f").c_str(), path.c_str()), ENAMETOOLONG);
  MUST_FAIL(::symlink("x", path.c_str()), ENAMETOOLONG);
}

void longest_utf8_name(const std::string& d) {
  std::string name;
  for (int i = 0; i < 85; ++i) name += "\u20ac";  // three bytes each
  write_file(d + "/" + name, "x");
  MUST(names_in(d) == std::vector<std::string>{name});
  MUST_FAIL(::mkdir((d + "/" + name + "a").c_str(), 0755), ENAMETOOLONG);
}

void unicode_names(const std::string& d) {
  const std::vector<std::string> names = {"\u00e4\u00f6\u00fc\u00df", "\u65e5\u672c\u8a9e",
                                          "\u0440\u0443\u0441\u0441\u043a\u0438\u0439",
                                          "\U0001f600"};
  for (const auto& name : names) write_file(d + "/" + name, name);
  for (const auto& name : names) MUST(read_file(d + "/" + name) == name);
  auto sorted = names;
  std::sort(sorted.begin(), sorted.end());
  MUST(names_in(d) == sorted);
}

// Not every filesystem stores bytes that are no UTF-8; what refuses them must say so cleanly.
void names_that_are_not_utf8(const std::string& d) {
  const std::string path = d + "/caf\xe9";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0644);
  if (fd < 0) {
    MUST_FAIL(::open(path.c_str(), O_WRONLY | O_CREAT, 0644), EILSEQ);
    MUST(names_in(d).empty());
    return;
  }
  ::close(fd);
  MUST(names_in(d) == std::vector<std::string>{"caf\xe9"});
}

void odd_names(const std::string& d) {
  const std::vector<std::string> names = {" ",       "-rf",      "...",     "a b", "new\nline",
                                          "tab\t",   "\\",       "'\"",     "*",   "$x",
                                          ".hidden", "a:b|c?<>", "\x01\x7f"};
  for (const auto& name : names) write_file(d + "/" + name, name);
  auto sorted = names;
  std::sort(sorted.begin(), sorted.end());
  MUST(names_in(d) == sorted);
  for (const auto& name : names) MUST(::unlink((d + "/" + name).c_str()) == 0);
  MUST(names_in(d).empty());
}

void case_matters(const std::string& d) {
  write_file(d + "/name", "lower");
  write_file(d + "/NAME", "upper");
  MUST(read_file(d + "/name") == "lower");
  MUST(read_file(d + "/NAME") == "upper");
}

void symlinks(const std::string& d) {
  write_file(d + "/f", "content");
  MUST(::symlink("f", (d + "/l").c_str()) == 0);
  char target[16] = {};
  MUST(::readlink((d + "/l").c_str(), target, sizeof target) == 1);
  MUST(std::string(target) == "f");
  MUST(read_file(d + "/l") == "content");
  MUST(S_ISLNK(lstat_of(d + "/l").st_mode));
  MUST(lstat_of(d + "/l").st_size == 1);
  MUST(lstat_of(d + "/l").st_ino != stat_of(d + "/f").st_ino);
  MUST(stat_of(d + "/l").st_ino == stat_of(d + "/f").st_ino);
  MUST_FAIL(::symlink("other", (d + "/l").c_str()), EEXIST);
  MUST_FAIL(::open((d + "/l").c_str(), O_RDONLY | O_NOFOLLOW), ELOOP);
  MUST_FAIL(::readlink((d + "/f").c_str(), target, sizeof target), EINVAL);
  MUST(::unlink((d + "/l").c_str()) == 0);
  MUST(read_file(d + "/f") == "content");
}

void dangling_symlink(const std::string& d) {
  MUST(::symlink("nowhere", (d + "/l").c_str()) == 0);
  struct stat s{};
  MUST_FAIL(::stat((d + "/l").c_str(), &s), ENOENT);
  MUST(S_ISLNK(lstat_of(d + "/l").st_mode));
  MUST_FAIL(::open((d + "/l").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
  write_file(d + "/l", "through");  // creates the target
  MUST(read_file(d + "/nowhere") == "through");
}

void symlink_loop(const std::string& d) {
  MUST(::symlink("b", (d + "/a").c_str()) == 0);
  MUST(::symlink("a", (d + "/b").c_str()) == 0);
  struct stat s{};
  MUST_FAIL(::stat((d + "/a").c_str(), &s), ELOOP);
}

void long_symlink(const std::string& d) {
  // 4095 bytes is what the system allows; some filesystems stop at a block less a terminator.
  std::string target(4000, 't');
  for (std::size_t i = 100; i < target.size(); i += 100) target[i] = '/';
  MUST(::symlink(target.c_str(), (d + "/l").c_str()) == 0);
  std::string got(5000, '\0');
  const auto n = ::readlink((d + "/l").c_str(), got.data(), got.size());
  MUST(n == 4000);
  got.resize(static_cast<std::size_t>(n));
  MUST(got == target);
  MUST(lstat_of(d + "/l").st_size == 4000);
}

void symlink_to_directory(const std::string& d) {
  MUST(::mkdir((d + "/dir").c_str(), 0755) == 0);
  MUST(::symlink("dir", (d + "/l").c_str()) == 0);
  write_file(d + "/l/f", "x");
  MUST(read_file(d + "/dir/f") == "x");
  MUST_FAIL(::rmdir((d + "/l").c_str()), ENOTDIR);
}

// Hard links are optional; a filesystem without them says EPERM.
void hard_link(const std::string& d) {
  write_file(d + "/f", "x");
  if (::link((d + "/f").c_str(), (d + "/g").c_str()) == 0) {
    MUST(stat_of(d + "/f").st_ino == stat_of(d + "/g").st_ino);
    MUST(stat_of(d + "/f").st_nlink == 2);
    return;
  }
  MUST_FAIL(::link((d + "/f").c_str(), (d + "/g").c_str()), EPERM);
  MUST(!exists(d + "/g"));
}

void fifo(const std::string& d) {
  const auto path = d + "/pipe";
  MUST(::mkfifo(path.c_str(), 0600) == 0);
  MUST(S_ISFIFO(stat_of(path).st_mode));
  MUST((stat_of(path).st_mode & 07777) == 0600);
  MUST_FAIL(::mkfifo(path.c_str(), 0600), EEXIST);
  const Fd both(path, O_RDWR | O_NONBLOCK);
  MUST(::write(both, "x", 1) == 1);
  char c = 0;
  MUST(::read(both, &c, 1) == 1 && c == 'x');
  MUST(::unlink(path.c_str()) == 0);
}

void unix_socket(const std::string& d) {
  const int home = ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const Fd back(home);
  MUST(::chdir(d.c_str()) == 0);  // socket addresses are short
  const Fd server(::socket(AF_UNIX, SOCK_STREAM, 0)), client(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "sock");
  const auto* const a = reinterpret_cast<const sockaddr*>(&address);
  const int bound = ::bind(server, a, sizeof address);
  const int listening = ::listen(server, 1);
  const int connected = ::connect(client, a, sizeof address);
  MUST(::fchdir(back) == 0);
  MUST(bound == 0 && listening == 0 && connected == 0);
  MUST(S_ISSOCK(stat_of(d + "/sock").st_mode));
}

// Device nodes are optional, for root only.
void device_node(const std::string& d) {
  if (::mknod((d + "/null").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0) {
    MUST(S_ISCHR(stat_of(d + "/null").st_mode));
  } else {
    MUST(!exists(d + "/null"));
    MUST_FAIL(::mknod((d + "/null").c_str(), S_IFCHR | 0600, makedev(1, 3)), EPERM);
  }
}

void mknod_of_a_file(const std::string& d) {
  MUST(::mknod((d + "/f").c_str(), S_IFREG | 0640, 0) == 0);
  MUST(S_ISREG(stat_of(d + "/f").st_mode));
  MUST(stat_of(d + "/f").st_size == 0);
  MUST_FAIL(::mknod((d + "/f").c_str(), S_IFREG | 0640, 0), EEXIST);
}

}  // namespace

std::vector<Rule> name_rules() {
  return {{"names/missing", missing_name},
          {"names/missing-appears", missing_name_appears},
          {"names/file-as-directory", file_as_directory},
          {"names/longest", longest_name},
          {"names/too-long", too_long_name},
          {"names/longest-utf8", longest_utf8_name},
          {"names/unicode", unicode_names},
          {"names/not-utf8", names_that_are_not_utf8},
          {"names/odd", odd_names},
          {"names/case-matters", case_matters},
          {"names/symlinks", symlinks},
          {"names/dangling-symlink", dangling_symlink},
          {"names/symlink-loop", symlink_loop},
          {"names/long-symlink", long_symlink},
          {"names/symlink-to-directory", symlink_to_directory},
          {"names/hard-link", hard_link},
          {"names/fifo", fifo},
          {"names/unix-socket", unix_socket},
          {"names/device-node", device_node},
          {"names/mknod-file", mknod_of_a_file}};
}

}  // namespace conformance
