// SPDX-License-Identifier: Apache-2.0
#pragma once

// System calls as the rules use them. Everything here throws Failure instead of returning errors.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/conformance/rules.h"

namespace conformance {

// An open file, closed at the end of its scope.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const std::string& path, int flags, mode_t mode = 0644);
  ~Fd();
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  operator int() const { return fd_; }
  void close();  // checks what close(2) says
  void reopen(const std::string& path, int flags);

 private:
  int fd_;
};

// An open directory stream.
class Dir {
 public:
  explicit Dir(const std::string& path);
  ~Dir();
  Dir(const Dir&) = delete;
  Dir& operator=(const Dir&) = delete;
  DIR* get() const { return dir_; }
  // The next entry but "." and "..", or null at the end.
  dirent* next();

 private:
  DIR* dir_;
};

void write_file(const std::string& path, const std::string& content, mode_t mode = 0644);
std::string read_file(const std::string& path);
// All of it, at an offset; short results are failures.
void write_at(int fd, const std::string& data, off_t offset);
std::string read_at(int fd, std::size_t size, off_t offset);  // shorter at the end of the file

struct stat stat_of(const std::string& path);  // follows links
struct stat lstat_of(const std::string& path);
struct stat stat_of(int fd);
bool exists(const std::string& path);  // not following links

std::vector<std::string> names_in(const std::string& directory);  // sorted, without dots
// Deterministic bytes without repetition.
std::string noise(std::size_t size, unsigned seed = 1);

bool later(const timespec& a, const timespec& b);
// Returns when a new timestamp of this filesystem would differ from `than`: asks the filesystem by
// touching `probe`, so that no clock granularity is assumed.
void let_time_pass(const std::string& probe);

// What the function returned in a child process in which the user is `uid`, in `directory`. The
// function must not throw; it returns an exit code, usually an errno.
int as_user(uid_t uid, const std::string& directory, const std::function<int()>& act);
// The same, as the user we are.
int in_child(const std::function<int()>& act);
// True as soon as `holds` is, within a few seconds: for what the kernel does after the call that
// caused it (a closed file's locks).
bool eventually(const std::function<bool()>& holds);
void need_root();
inline constexpr uid_t nobody = 65534;
// errno when the call failed, else 0.
inline int error_of(long result) { return result < 0 ? errno : 0; }

}  // namespace conformance
