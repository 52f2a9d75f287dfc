// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace lafs::grid {

namespace {

namespace stdfs = std::filesystem;

// A descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

stdfs::path folder_of(const stdfs::path& path) {
  return path.has_parent_path() ? path.parent_path() : stdfs::path(".");
}

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// A new file beside `path` with this content and mode, synced.
Result<stdfs::path> write_beside(const stdfs::path& path, std::string_view content, unsigned mode) {
  std::string name = path.string() + ".new-XXXXXX";
  Fd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (fd.get() < 0) return system_error(errno, path, "create");
  if (::fchmod(fd.get(), mode) != 0 || !write_all(fd.get(), content) || ::fsync(fd.get()) != 0) {
    const int error = errno;
    ::unlink(name.c_str());
    return system_error(error, path, "write");
  }
  return stdfs::path(name);
}

Result<> sync_folder(const stdfs::path& path) {
  const auto folder = folder_of(path);
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return system_error(errno, folder, "sync");
  return {};
}

Errc code_of(int error) {
  switch (error) {
    case ENOENT:
      return Errc::not_found;
    case EEXIST:
      return Errc::exists;
    case ENOTDIR:
      return Errc::not_directory;
    case EISDIR:
      return Errc::is_directory;
    case EACCES:
      return Errc::access_denied;
    case EPERM:
      return Errc::not_permitted;
    case EROFS:
      return Errc::read_only;
    case ENOSPC:
    case EDQUOT:
      return Errc::no_space;
    case ENAMETOOLONG:
      return Errc::name_too_long;
    case ELOOP:
      return Errc::symlink_loop;
    default:
      return Errc::io;
  }
}

}  // namespace

std::unexpected<Error> system_error(int error, const stdfs::path& path, std::string_view doing) {
  std::string context = "cannot " + std::string(doing) + " " + path.string();
  const Errc code = code_of(error);
  // What the code cannot say, the system's own words do.
  if (code == Errc::io) context += std::string(" (") + std::strerror(error) + ")";
  return fail(code, std::move(context));
}

Result<std::string> read_small_file(const stdfs::path& path, std::size_t limit) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return system_error(errno, path, "read");
  std::string out;
  char buffer[16384];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(errno, path, "read");
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > limit) {
      return fail(Errc::too_large,
                  path.string() + " has more than " + std::to_string(limit) + " bytes");
    }
  }
}

Result<> replace_file(const stdfs::path& path, std::string_view content, unsigned mode) {
  TRY(beside, write_beside(path, content, mode));
  if (::rename(beside.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(beside.c_str());
    return system_error(error, path, "replace");
  }
  return sync_folder(path);
}

Result<bool> create_file(const stdfs::path& path, std::string_view content, unsigned mode) {
  TRY(beside, write_beside(path, content, mode));
  const int linked = ::link(beside.c_str(), path.c_str());
  const int error = errno;
  ::unlink(beside.c_str());
  if (linked != 0 && error == EEXIST) return false;
  if (linked != 0) return system_error(error, path, "create");
  TRY_DO(sync_folder(path));
  return true;
}

Result<> make_directory(const stdfs::path& path, unsigned mode) {
  std::error_code above;
  if (path.has_parent_path()) stdfs::create_directories(path.parent_path(), above);
  if (above) return system_error(above.value(), path.parent_path(), "create");
  if (::mkdir(path.c_str(), mode) == 0) return {};
  const int error = errno;
  std::error_code ignored;
  if (error == EEXIST && stdfs::is_directory(path, ignored)) return {};
  return system_error(error, path, "create");
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n\f\v";
  const auto begin = text.find_first_not_of(blanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

Result<FileLock> FileLock::wait(const stdfs::path& path) { return take(path, true); }
Result<FileLock> FileLock::try_take(const stdfs::path& path) { return take(path, false); }

Result<FileLock> FileLock::take(const stdfs::path& path, bool wait) {
  std::error_code ignored;
  const bool folder = stdfs::is_directory(path, ignored);
  Fd fd(::open(path.c_str(), folder ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (fd.get() < 0) return system_error(errno, path, "open");
  while (::flock(fd.get(), wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return fail(Errc::busy, path.string());
    if (errno != EINTR) return system_error(errno, path, "lock");
  }
  return FileLock(fd.release());
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> FileLock::write(std::string_view content) {
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0 || !write_all(fd_, content)) {
    return fail(Errc::io, std::string("cannot write a lock file (") + std::strerror(errno) + ")");
  }
  return {};
}

}  // namespace lafs::grid
