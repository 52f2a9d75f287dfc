// SPDX-License-Identifier: Apache-2.0
#include "grid/server/disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace lafs::grid::storage {

namespace {

constexpr std::size_t copy_piece = 1 << 20;
// What most file systems give files their room by.
constexpr std::uint64_t block = 4096;
// Up to here, reading and writing costs less than asking for holes.
constexpr std::size_t small_copy = 64 << 10;

std::unexpected<Error> last_error(std::string_view doing, const std::filesystem::path& path) {
  return std::unexpected(disk_error(doing, path, errno));
}

bool fits_off_t(std::uint64_t offset, std::uint64_t length) {
  constexpr auto limit = static_cast<std::uint64_t>(INT64_MAX);
  return offset <= limit && length <= limit - offset;
}

Result<> write_all(int fd, std::uint64_t offset, ByteView data, const std::filesystem::path& path) {
  if (!fits_off_t(offset, data.size())) return std::unexpected(disk_error("writing", path, EFBIG));
  while (!data.empty()) {
    const auto n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error("writing", path);
    data = data.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

}  // namespace

Error disk_error(std::string_view doing, const std::filesystem::path& path, int error) {
  Errc code = Errc::io;
  switch (error) {
    case ENOENT:
      code = Errc::not_found;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = Errc::access_denied;
      break;
    case ENOSPC:
    case EDQUOT:
      code = Errc::no_space;
      break;
    case EFBIG:
      code = Errc::too_large;
      break;
    default:
      break;
  }
  return {code, std::string(doing) + " " + path.string() + ": " + std::strerror(error)};
}

Result<File> File::open(const std::filesystem::path& path, bool writable) {
  const int fd = ::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (fd < 0) return last_error("opening", path);
  return File(fd, path);
}

Result<File> File::load(const std::filesystem::path& path, std::uint64_t limit) {
  TRY(file, open(path));
  TRY(size, file.size());
  if (size > limit) return file;
  auto all = std::make_unique<Bytes>(static_cast<std::size_t>(size));
  TRY_DO(file.read_exactly(0, *all));
  ::close(std::exchange(file.fd_, -1));
  file.memory_ = std::move(all);
  return file;
}

File File::in_memory(std::filesystem::path path) {
  File out(-1, std::move(path));
  out.memory_ = std::make_unique<Bytes>();
  return out;
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      memory_(std::move(other.memory_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(memory_, other.memory_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::uint64_t> File::size() const {
  if (memory_) return memory_->size();
  struct stat facts{};
  if (::fstat(fd_, &facts) != 0) return last_error("looking at", path_);
  if (!S_ISREG(facts.st_mode)) return fail(Errc::corrupt, path_.string() + " is not a file");
  return static_cast<std::uint64_t>(facts.st_size);
}

Result<std::uint64_t> File::disk_size() const {
  if (memory_) return (memory_->size() + block - 1) / block * block;
  struct stat facts{};
  if (::fstat(fd_, &facts) != 0) return last_error("looking at", path_);
  return static_cast<std::uint64_t>(facts.st_blocks) * 512;
}

Result<std::size_t> File::read(std::uint64_t offset, MutableBytes to) const {
  std::size_t done = 0;
  if (!fits_off_t(offset, to.size())) return std::size_t{0};
  if (memory_) {
    if (offset >= memory_->size()) return std::size_t{0};
    const auto n = std::min(to.size(), memory_->size() - static_cast<std::size_t>(offset));
    std::copy_n(memory_->begin() + static_cast<std::ptrdiff_t>(offset), n, to.begin());
    return n;
  }
  while (done < to.size()) {
    const auto n =
        ::pread(fd_, to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error("reading", path_);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

Result<> File::read_exactly(std::uint64_t offset, MutableBytes to) const {
  TRY(n, read(offset, to));
  if (n < to.size()) return fail(Errc::corrupt, path_.string() + " ends too early");
  return {};
}

Result<bool> File::read_cached(std::uint64_t offset, MutableBytes to) const {
  if (!fits_off_t(offset, to.size())) return false;
  iovec part{to.data(), to.size()};
  const auto n = ::preadv2(fd_, &part, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  return n >= 0 && static_cast<std::size_t>(n) == to.size();
}

Result<std::int64_t> File::modified() const {
  struct stat facts{};
  if (::fstat(fd_, &facts) != 0) return last_error("looking at", path_);
  return std::int64_t{facts.st_mtime};
}

Disk::Disk(bool durable, std::function<bool(std::string_view)> allow_step, StepDone step_done,
           TearWrite tear_write)
    : durable_(durable),
      allow_step_(std::move(allow_step)),
      step_done_(std::move(step_done)),
      tear_write_(std::move(tear_write)) {}

Result<> Disk::step(std::string_view name) {
  if (!allow_step_) return {};
  if (!dead_ && allow_step_(name)) return {};
  dead_ = true;
  return fail(Errc::io, "stopped before " + std::string(name));
}

Result<File> Disk::create(const std::filesystem::path& path) {
  TRY_DO(step("create"));
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return last_error("creating", path);
  done("create", path);
  return File(fd, path);
}

Result<> Disk::write(const File& file, std::uint64_t offset, ByteView data) {
  if (file.memory_) {
    const auto end = static_cast<std::size_t>(offset) + data.size();
    if (end > file.memory_->size()) file.memory_->resize(end);
    std::ranges::copy(data, file.memory_->begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  TRY_DO(step("write"));
  const auto torn = tear_write_ ? tear_write_(file.path_) : std::nullopt;
  TRY_DO(write_all(file.fd_, offset, torn ? data.first(std::min(*torn, data.size())) : data,
                   file.path_));
  if (torn) return std::unexpected(disk_error("writing", file.path_, ENOSPC));
  done("write", file.path_);
  return {};
}

void Disk::begin_writing_out(const File& file, std::uint64_t offset, std::uint64_t length) {
  if (!durable_) return;
  ::sync_file_range(file.fd_, static_cast<off_t>(offset), static_cast<off_t>(length),
                    SYNC_FILE_RANGE_WRITE);
}

Result<> Disk::reserve(const File& file, std::uint64_t offset, std::uint64_t length) {
  if (!fits_off_t(offset, length)) {
    return std::unexpected(disk_error("reserving room in", file.path_, EFBIG));
  }
  if (::fallocate(file.fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) != 0 &&
      errno != EOPNOTSUPP) {
    return last_error("reserving room in", file.path_);
  }
  return {};
}

Result<> Disk::resize(const File& file, std::uint64_t size) {
  TRY_DO(step("resize"));
  if (!fits_off_t(size, 0)) return std::unexpected(disk_error("resizing", file.path_, EFBIG));
  if (::ftruncate(file.fd_, static_cast<off_t>(size)) != 0)
    return last_error("resizing", file.path_);
  done("resize", file.path_);
  return {};
}

Result<> Disk::copy(const File& from, const File& to) {
  TRY_DO(step("copy"));
  TRY(size, from.size());
  if (size <= small_copy) {
    Bytes all(static_cast<std::size_t>(size));
    TRY_DO(from.read_exactly(0, all));
    TRY_DO(write_all(to.fd_, 0, all, to.path_));
    done("copy", to.path_);
    return {};
  }
#ifdef FICLONE
  // Where the file system shares blocks between files (XFS, Btrfs), a copy costs nothing.
  if (::ioctl(to.fd_, FICLONE, from.fd_) == 0) {
    done("copy", to.path_);
    return {};
  }
#endif
  if (::ftruncate(to.fd_, static_cast<off_t>(size)) != 0) return last_error("resizing", to.path_);
  Bytes buffer;
  for (off_t at = 0; at < static_cast<off_t>(size);) {
    at = ::lseek(from.fd_, at, SEEK_DATA);
    if (at < 0 && errno == ENXIO) break;  // only a hole is left
    if (at < 0) return last_error("reading", from.path_);
    const off_t end = ::lseek(from.fd_, at, SEEK_HOLE);
    if (end < 0) return last_error("reading", from.path_);
    while (at < end) {
      buffer.resize(static_cast<std::size_t>(std::min<off_t>(end - at, copy_piece)));
      const auto offset = static_cast<std::uint64_t>(at);
      TRY(n, from.read(offset, buffer));
      if (n == 0) break;
      TRY_DO(write_all(to.fd_, offset, ByteView(buffer).first(n), to.path_));
      at += static_cast<off_t>(n);
    }
  }
  done("copy", to.path_);
  return {};
}

Result<> Disk::sync(const File& file) {
  if (file.memory_) return {};
  TRY_DO(step("sync"));
  if (durable_ && ::fdatasync(file.fd_) != 0) return last_error("syncing", file.path_);
  done("sync", file.path_);
  return {};
}

Result<> Disk::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  TRY_DO(step("rename"));
  if (::rename(from.c_str(), to.c_str()) != 0) return last_error("renaming to", to);
  done("rename", from, to);
  return {};
}

Result<> Disk::remove(const std::filesystem::path& path) {
  TRY_DO(step("remove"));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return last_error("removing", path);
  done("remove", path);
  return {};
}

Result<std::vector<std::filesystem::path>> Disk::make_missing(
    const std::filesystem::path& root, const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> changed;
  auto at = root;
  for (const auto& part : directory.lexically_relative(root)) {
    auto parent = at;
    at /= part;
    TRY_DO(step("mkdir"));
    if (::mkdir(at.c_str(), 0777) == 0) {
      done("mkdir", at);
      changed.push_back(std::move(parent));
    } else if (errno != EEXIST) {
      return last_error("creating", at);
    }
  }
  return changed;
}

Result<> Disk::make_directories(const std::filesystem::path& root,
                                const std::filesystem::path& directory, bool lasting) {
  TRY(changed, make_missing(root, directory));
  if (!lasting) return {};
  for (const auto& parent : changed) TRY_DO(sync_directory(parent));
  return {};
}

bool Disk::remove_directory(const std::filesystem::path& directory) {
  if (!step("rmdir") || ::rmdir(directory.c_str()) != 0) return false;
  done("rmdir", directory);
  return true;
}

Result<> Disk::sync_through(const std::filesystem::path& directory, int (*how)(int)) {
  if (!durable_) return {};
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return last_error("opening", directory);
  const int failed = how(fd);
  const auto problem = failed ? disk_error("syncing", directory, errno) : Error{};
  ::close(fd);
  if (failed) return std::unexpected(problem);
  return {};
}

Result<> Disk::sync_directory(const std::filesystem::path& directory) {
  TRY_DO(step("sync directory"));
  TRY_DO(sync_through(directory, ::fsync));
  done("sync directory", directory);
  return {};
}

bool can_sync_all(const std::filesystem::path& directory) {
  struct statfs facts{};
  return ::statfs(directory.c_str(), &facts) == 0 && facts.f_type != FUSE_SUPER_MAGIC;
}

Result<> Disk::sync_all(const std::filesystem::path& directory) {
  TRY_DO(step("sync all"));
  TRY_DO(sync_through(directory, ::syncfs));
  done("sync all", directory);
  return {};
}

}  // namespace lafs::grid::storage
