// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/sys.h"

#include <grp.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

namespace conformance {

Fd::Fd(const std::string& path, int flags, mode_t mode)
    : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {
  if (fd_ < 0) fail_at(__FILE__, __LINE__, "open " + path + ": " + strerror(errno));
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

void Fd::close() { MUST(::close(std::exchange(fd_, -1)) == 0); }

void Fd::reopen(const std::string& path, int flags) {
  close();
  fd_ = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd_ < 0) fail_at(__FILE__, __LINE__, "open " + path + ": " + strerror(errno));
}

Dir::Dir(const std::string& path) : dir_(::opendir(path.c_str())) {
  if (!dir_) fail_at(__FILE__, __LINE__, "opendir " + path + ": " + strerror(errno));
}

Dir::~Dir() { ::closedir(dir_); }

dirent* Dir::next() {
  for (;;) {
    errno = 0;
    auto* const entry = ::readdir(dir_);
    if (!entry && errno) fail_at(__FILE__, __LINE__, std::string("readdir: ") + strerror(errno));
    if (!entry) return nullptr;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") return entry;
  }
}

void write_file(const std::string& path, const std::string& content, mode_t mode) {
  Fd fd(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  write_at(fd, content, 0);
  fd.close();
}

std::string read_file(const std::string& path) {
  const Fd fd(path, O_RDONLY);
  std::string all, part;
  do {
    part = read_at(fd, 1 << 20, static_cast<off_t>(all.size()));
    all += part;
  } while (!part.empty());
  return all;
}

void write_at(int fd, const std::string& data, off_t offset) {
  const ssize_t n = ::pwrite(fd, data.data(), data.size(), offset);
  if (n < 0) fail_at(__FILE__, __LINE__, std::string("pwrite: ") + strerror(errno));
  MUST(static_cast<std::size_t>(n) == data.size());
}

std::string read_at(int fd, std::size_t size, off_t offset) {
  std::string out(size, '\0');
  const ssize_t n = ::pread(fd, out.data(), size, offset);
  if (n < 0) fail_at(__FILE__, __LINE__, std::string("pread: ") + strerror(errno));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

struct stat stat_of(const std::string& path) {
  struct stat s{};
  if (::stat(path.c_str(), &s) != 0) {
    fail_at(__FILE__, __LINE__, "stat " + path + ": " + strerror(errno));
  }
  return s;
}

struct stat lstat_of(const std::string& path) {
  struct stat s{};
  if (::lstat(path.c_str(), &s) != 0) {
    fail_at(__FILE__, __LINE__, "lstat " + path + ": " + strerror(errno));
  }
  return s;
}

struct stat stat_of(int fd) {
  struct stat s{};
  MUST(::fstat(fd, &s) == 0);
  return s;
}

bool exists(const std::string& path) {
  struct stat s{};
  if (::lstat(path.c_str(), &s) == 0) return true;
  if (errno != ENOENT) fail_at(__FILE__, __LINE__, "lstat " + path + ": " + strerror(errno));
  return false;
}

std::vector<std::string> names_in(const std::string& directory) {
  Dir dir(directory);
  std::vector<std::string> names;
  while (const auto* entry = dir.next()) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (auto& c : out) c = static_cast<char>(random());
  return out;
}

bool later(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

void let_time_pass(const std::string& probe) {
  const std::string path = probe + "/.time-probe";
  write_file(path, "x");
  const auto before = stat_of(path).st_mtim;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  do {
    MUST(std::chrono::steady_clock::now() < give_up);
    MUST(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0);
  } while (!later(stat_of(path).st_mtim, before));
  MUST(::unlink(path.c_str()) == 0);
}

int as_user(uid_t uid, const std::string& directory, const std::function<int()>& act) {
  const pid_t child = ::fork();
  MUST(child >= 0);
  if (child == 0) {
    if (::chdir(directory.c_str()) != 0) ::_exit(250);
    if (uid != ::geteuid() &&
        (::setgroups(0, nullptr) != 0 || ::setgid(uid) != 0 || ::setuid(uid) != 0)) {
      ::_exit(250);
    }
    ::_exit(act());
  }
  int status = 0;
  MUST(::waitpid(child, &status, 0) == child);
  MUST(WIFEXITED(status));
  MUST(WEXITSTATUS(status) != 250);
  return WEXITSTATUS(status);
}

int in_child(const std::function<int()>& act) { return as_user(::geteuid(), "/", act); }

bool eventually(const std::function<bool()>& holds) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    ::usleep(1000);
  }
  return true;
}

void need_root() {
  if (::geteuid() != 0) throw Skipped{"only root can act as another user"};
}

}  // namespace conformance
