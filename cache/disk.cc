// SPDX-License-Identifier: Apache-2.0
#include "cache/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <random>

#include "grid/base/log.h"

namespace lafs::cache {

namespace {

constexpr std::uint64_t page = 4096;

std::unexpected<Error> disk_error(int error, const char* doing, const std::string& path) {
  auto code = Errc::io;
  if (error == ENOSPC || error == EDQUOT) code = Errc::no_space;
  if (error == ENOENT) code = Errc::not_found;
  if (error == EEXIST) code = Errc::exists;
  if (error == EACCES || error == EPERM) code = Errc::access_denied;
  if (error == EROFS) code = Errc::read_only;
  return fail(code, std::string(doing) + " " + path + ": " + std::strerror(error));
}

bool write_all(int fd, std::uint64_t offset, ByteView data) {
  while (!data.empty()) {
    const auto n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) return false;
    data = data.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return true;
}

// All zero where the system does not tell: then every start is taken for the same.
Disk::BootId system_boot() {
  Disk::BootId out{};
  const int fd = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return out;
  char text[64];
  const auto n = ::read(fd, text, sizeof text);
  ::close(fd);
  std::string digits;
  for (ssize_t i = 0; i < n; ++i)
    if (std::isxdigit(static_cast<unsigned char>(text[i]))) digits += text[i];
  if (const auto raw = from_hex(digits); raw && raw->size() == out.size())
    std::ranges::copy(*raw, out.begin());
  return out;
}

}  // namespace

// What is needed to take back what was not synced: for every page written since its file's last
// sync the states it had, and for every name made, moved or removed since its directory's last
// sync what it was. A power loss keeps of each page any one state, and of the names the oldest
// changes up to any point, as a journaling filesystem does.
struct Disk::Faults {
  struct FileChange {
    std::shared_ptr<int> fd;  // a duplicate that outlives the file
    std::uint64_t size;       // before
    std::uint64_t offset;
    Bytes before;  // of the pages that lay inside the file
  };
  struct NameChange {
    enum class Kind : std::uint8_t { made, removed, renamed } kind;
    std::string path;
    std::string other;     // removed: where it is kept; renamed: the new name
    std::string replaced;  // renamed: where what the new name named before is kept
  };

  DiskFault fault;
  std::mutex mutex;
  std::map<ino_t, std::list<FileChange>> files;
  std::list<NameChange> names;
  std::uint64_t kept = 0;  // numbers what is kept aside

  bool tracks() const { return fault.kind == DiskFault::Kind::power; }
};

Result<DiskFault> DiskFault::parse(std::string_view text) {
  const auto bad = [&] {
    return fail(Errc::bad_argument, "disk fault '" + std::string(text) + "'");
  };
  DiskFault out;
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return bad();
  const auto kind = text.substr(0, colon);
  if (kind == "kill")
    out.kind = Kind::kill;
  else if (kind == "power")
    out.kind = Kind::power;
  else if (kind == "no_space")
    out.kind = Kind::no_space;
  else if (kind == "io_error")
    out.kind = Kind::io_error;
  else
    return bad();
  auto* at = text.data() + colon + 1;
  auto* const end = text.data() + text.size();
  auto got = std::from_chars(at, end, out.at);
  if (got.ec != std::errc{}) return bad();
  if (got.ptr != end && *got.ptr == ':') got = std::from_chars(got.ptr + 1, end, out.seed);
  if (got.ec != std::errc{} || got.ptr != end) return bad();
  return out;
}

Disk::Disk(DiskFault fault, std::optional<BootId> boot) : boot_(boot ? *boot : system_boot()) {
  if (fault.kind == DiskFault::Kind::none) return;
  faults_ = std::make_unique<Faults>();
  faults_->fault = fault;
}

Disk::~Disk() {
  if (!faults_) return;
  for (auto& change : faults_->names) {
    if (change.kind == Faults::NameChange::Kind::removed) ::unlink(change.other.c_str());
    if (!change.replaced.empty()) ::unlink(change.replaced.c_str());
  }
}

std::unique_ptr<Disk> Disk::from_environment() {
  auto* text = std::getenv("LAFS_DISK_FAULT");
  std::optional<BootId> boot;
  if (auto* other = std::getenv("LAFS_BOOT_ID"); other && *other) {
    boot.emplace();
    boot->fill(0);
    std::copy_n(other, std::min(std::strlen(other), boot->size()), boot->begin());
  }
  if (!text || !*text) return std::make_unique<Disk>(DiskFault{}, boot);
  auto fault = DiskFault::parse(text);
  if (!fault) {
    log::error("LAFS_DISK_FAULT: " + fault.error().message());
    return std::make_unique<Disk>(DiskFault{}, boot);
  }
  fault->whole_process = true;
  log::warning(std::string("LAFS_DISK_FAULT is set: the disk will fail as it says: ") + text);
  return std::make_unique<Disk>(*fault, boot);
}

Result<Disk::Verdict> Disk::step(const char* what, const std::string& path, bool needs_space) {
  const auto number = steps_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (!faults_) return Verdict::go_on;
  const auto& fault = faults_->fault;
  if (dead()) return fail(Errc::io, std::string(what) + " " + path + ": the disk is gone (test)");
  switch (fault.kind) {
    case DiskFault::Kind::none:
      break;
    case DiskFault::Kind::kill:
    case DiskFault::Kind::power:
      if (number >= fault.at) return Verdict::torn;
      break;
    case DiskFault::Kind::no_space:
      if (number >= fault.at && needs_space) return disk_error(ENOSPC, what, path);
      break;
    case DiskFault::Kind::io_error:
      if (number == fault.at) return disk_error(EIO, what, path);
      break;
  }
  return Verdict::go_on;
}

std::unexpected<Error> Disk::die(const char* what, const std::string& path) {
  const bool first = !dead_.exchange(true);
  if (first && faults_->fault.whole_process) {
    lose_unsynced();
    ::kill(::getpid(), SIGKILL);
  }
  return fail(Errc::io, std::string(what) + " " + path + ": the disk is gone (test)");
}

void Disk::note_write(int fd, std::uint64_t offset, std::uint64_t length) {
  struct stat facts;
  if (::fstat(fd, &facts) != 0 || facts.st_nlink == 0) return;
  Faults::FileChange change;
  change.fd = std::shared_ptr<int>(new int(::dup(fd)), [](int* d) {
    ::close(*d);
    delete d;
  });
  change.size = static_cast<std::uint64_t>(facts.st_size);
  change.offset = offset / page * page;
  const auto end = std::min(change.size, round_up(offset + length, page));
  if (end > change.offset) change.before.resize(end - change.offset);
  const auto got =
      ::pread(fd, change.before.data(), change.before.size(), static_cast<off_t>(change.offset));
  change.before.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  const std::lock_guard lock(faults_->mutex);
  faults_->files[facts.st_ino].push_back(std::move(change));
}

// How many changes a sync that begins now will make last; others may come while it runs.
std::size_t Disk::unsynced(int fd) {
  struct stat facts;
  if (::fstat(fd, &facts) != 0) return 0;
  const std::lock_guard lock(faults_->mutex);
  const auto it = faults_->files.find(facts.st_ino);
  return it == faults_->files.end() ? 0 : it->second.size();
}

void Disk::note_sync(int fd, std::size_t changes) {
  struct stat facts;
  if (::fstat(fd, &facts) != 0) return;
  const std::lock_guard lock(faults_->mutex);
  auto& list = faults_->files[facts.st_ino];
  for (; changes > 0 && !list.empty(); --changes) list.pop_front();
  if (list.empty()) faults_->files.erase(facts.st_ino);
}

void Disk::lose_unsynced() {
  if (!faults_ || !faults_->tracks()) return;
  const std::lock_guard lock(faults_->mutex);
  std::mt19937_64 chance(faults_->fault.seed);
  const bool some = faults_->fault.seed != 0;
  for (auto& [inode, changes] : faults_->files) {
    // Newest first: each undone change restores the state before it. A page of which a newer state
    // survives is left alone by the older changes as well.
    std::map<std::uint64_t, std::uint64_t> survives;  // page -> changes of it that stay lost
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
      const int fd = *change->fd;
      for (std::uint64_t at = 0; at < change->before.size(); at += page) {
        const auto where = change->offset + at;
        auto& kept = survives[where];
        if (kept) continue;
        if (some && chance() % 2) {
          kept = 1;
          continue;
        }
        const auto n = std::min<std::uint64_t>(page, change->before.size() - at);
        write_all(fd, where, ByteView(change->before).subspan(at, n));
      }
      // The size is part of the inode: it comes back whole or not at all.
      if (!some && ::ftruncate(fd, static_cast<off_t>(change->size)) != 0) break;
    }
  }
  std::size_t stay = 0;  // of the names, the oldest so many
  if (some && !faults_->names.empty()) stay = chance() % (faults_->names.size() + 1);
  using Kind = Faults::NameChange::Kind;
  while (faults_->names.size() > stay) {
    const auto change = std::move(faults_->names.back());
    faults_->names.pop_back();
    if (change.kind == Kind::made) ::unlink(change.path.c_str());
    if (change.kind == Kind::removed) ::rename(change.other.c_str(), change.path.c_str());
    if (change.kind == Kind::renamed) {
      ::rename(change.other.c_str(), change.path.c_str());
      if (!change.replaced.empty()) ::rename(change.replaced.c_str(), change.other.c_str());
    }
  }
  faults_->files.clear();
}

std::string Disk::keep_aside(const std::string& path) {
  const std::lock_guard lock(faults_->mutex);
  auto aside = path + ".unsynced-" + std::to_string(++faults_->kept);
  return ::link(path.c_str(), aside.c_str()) == 0 ? aside : std::string();
}

Result<std::shared_ptr<DiskFile>> Disk::open(const std::string& path, Open how) {
  int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  if (how == Open::existing) {
    const int fd = ::open(path.c_str(), flags);
    if (fd < 0) return disk_error(errno, "open", path);
    return std::shared_ptr<DiskFile>(new DiskFile(*this, fd, path));
  }
  TRY(verdict, step("create", path, true));
  if (verdict == Verdict::torn) return die("create", path);
  const bool there = faults_ && ::access(path.c_str(), F_OK) == 0;
  flags |= O_CREAT | (how == Open::create_new ? O_EXCL : 0);
  const int fd = ::open(path.c_str(), flags, 0600);
  if (fd < 0) return disk_error(errno, "create", path);
  if (faults_ && faults_->tracks() && !there) {
    const std::lock_guard lock(faults_->mutex);
    faults_->names.push_back({Faults::NameChange::Kind::made, path, {}, {}});
  }
  return std::shared_ptr<DiskFile>(new DiskFile(*this, fd, path));
}

Result<std::shared_ptr<DiskFile>> Disk::open_nameless(const std::string& directory) {
  int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) {  // a filesystem without O_TMPFILE
    auto name = directory + "/staging.XXXXXX";
    fd = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd >= 0) ::unlink(name.c_str());
  }
  if (fd < 0) return disk_error(errno, "create a file in", directory);
  return std::shared_ptr<DiskFile>(new DiskFile(*this, fd, "a file in " + directory));
}

Result<> Disk::make_directory(const std::string& path) {
  for (std::size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const auto part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      return disk_error(errno, "create directory", part);
  }
  struct stat facts;
  if (::stat(path.c_str(), &facts) != 0) return disk_error(errno, "look at", path);
  if (!S_ISDIR(facts.st_mode)) return fail(Errc::not_directory, path);
  return {};
}

Result<> Disk::rename(const std::string& from, const std::string& to) {
  TRY(verdict, step("rename", from, false));
  if (verdict == Verdict::torn) return die("rename", from);
  std::string replaced;
  const bool tracks = faults_ && faults_->tracks();
  if (tracks && ::access(to.c_str(), F_OK) == 0) replaced = keep_aside(to);
  if (::rename(from.c_str(), to.c_str()) != 0) return disk_error(errno, "rename", from);
  if (tracks) {
    const std::lock_guard lock(faults_->mutex);
    faults_->names.push_back({Faults::NameChange::Kind::renamed, from, to, replaced});
  }
  return {};
}

Result<> Disk::unlink(const std::string& path) {
  TRY(verdict, step("remove", path, false));
  if (verdict == Verdict::torn) return die("remove", path);
  std::string aside;
  const bool tracks = faults_ && faults_->tracks();
  if (tracks) aside = keep_aside(path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return disk_error(errno, "remove", path);
  if (tracks && !aside.empty()) {
    const std::lock_guard lock(faults_->mutex);
    faults_->names.push_back({Faults::NameChange::Kind::removed, path, aside, {}});
  }
  return {};
}

Result<> Disk::sync_directory(const std::string& path) {
  TRY(verdict, step("sync", path, false));
  if (verdict == Verdict::torn) return die("sync", path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return disk_error(errno, "open", path);
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed) return disk_error(failed, "sync", path);
  if (faults_ && faults_->tracks()) {
    const std::lock_guard lock(faults_->mutex);
    for (auto it = faults_->names.begin(); it != faults_->names.end();) {
      const auto slash = it->path.rfind('/');
      if (it->path.substr(0, slash) != path) {
        ++it;
        continue;
      }
      if (it->kind == Faults::NameChange::Kind::removed) ::unlink(it->other.c_str());
      if (!it->replaced.empty()) ::unlink(it->replaced.c_str());
      it = faults_->names.erase(it);
    }
  }
  return {};
}

Result<> Disk::sync_all(const std::string& path) {
  TRY(verdict, step("sync all of", path, false));
  if (verdict == Verdict::torn) return die("sync all of", path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return disk_error(errno, "open", path);
  const int failed = ::syncfs(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed) return disk_error(failed, "sync all of", path);
  if (faults_ && faults_->tracks()) {
    const std::lock_guard lock(faults_->mutex);
    faults_->files.clear();
  }
  return {};
}

Result<std::vector<std::string>> Disk::names_in(const std::string& path) const {
  auto* directory = ::opendir(path.c_str());
  if (!directory) return disk_error(errno, "list", path);
  std::vector<std::string> names;
  while (auto* entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || name.find(".unsynced-") != std::string_view::npos) continue;
    names.emplace_back(name);
  }
  ::closedir(directory);
  std::ranges::sort(names);
  return names;
}

Result<DiskSpace> Disk::space(const std::string& path) const {
  struct statvfs facts;
  if (::statvfs(path.c_str(), &facts) != 0) return disk_error(errno, "look at", path);
  return DiskSpace{std::uint64_t{facts.f_blocks} * facts.f_frsize,
                   std::uint64_t{facts.f_bavail} * facts.f_frsize};
}

Result<> Disk::commit(const std::string& path, const std::function<Result<>()>& commit) {
  TRY(before, step("commit", path, true));
  if (before == Verdict::torn) return die("commit", path);
  return commit();
}

DiskFile::~DiskFile() { ::close(fd_); }

Result<> DiskFile::write(std::uint64_t offset, ByteView data) {
  TRY(verdict, disk_.step("write", path_, true));
  // Pages are written one after the other; a process dies between them.
  if (verdict == Disk::Verdict::torn)
    data =
        data.first(std::min((data.size() / 2 + page - 1) / page * page, data.size()) & ~(page - 1));
  if (disk_.faults_ && disk_.faults_->tracks()) disk_.note_write(fd_, offset, data.size());
  if (!write_all(fd_, offset, data)) return disk_error(errno, "write", path_);
  if (verdict == Disk::Verdict::torn) return disk_.die("write", path_);
  return {};
}

Result<std::size_t> DiskFile::read(std::uint64_t offset, MutableBytes out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto n =
        ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_error(errno, "read", path_);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

Result<> DiskFile::sync() {
  TRY(verdict, disk_.step("sync", path_, false));
  if (verdict == Disk::Verdict::torn) return disk_.die("sync", path_);
  const bool tracks = disk_.faults_ && disk_.faults_->tracks();
  const auto changes = tracks ? disk_.unsynced(fd_) : 0;
  if (::fdatasync(fd_) != 0) return disk_error(errno, "sync", path_);
  if (tracks) disk_.note_sync(fd_, changes);
  return {};
}

Result<> DiskFile::allocate(std::uint64_t size) {
  TRY(verdict, disk_.step("allocate", path_, true));
  if (verdict == Disk::Verdict::torn) return disk_.die("allocate", path_);
  if (const int error = ::posix_fallocate(fd_, 0, static_cast<off_t>(size)); error != 0)
    return disk_error(error, "allocate", path_);
  return {};
}

Result<> DiskFile::punch(std::uint64_t offset, std::uint64_t length) {
  TRY(verdict, disk_.step("free a part of", path_, false));
  if (verdict == Disk::Verdict::torn) return disk_.die("free a part of", path_);
  if (disk_.faults_ && disk_.faults_->tracks()) {
    TRY(end, size());
    if (offset < end) disk_.note_write(fd_, offset, std::min(length, end - offset));
  }
  if (::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) != 0 &&
      errno != EOPNOTSUPP)
    return disk_error(errno, "free a part of", path_);
  return {};
}

Result<> DiskFile::resize(std::uint64_t new_size) {
  TRY(verdict, disk_.step("resize", path_, false));
  if (verdict == Disk::Verdict::torn) return disk_.die("resize", path_);
  if (disk_.faults_ && disk_.faults_->tracks()) {
    TRY(end, size());
    disk_.note_write(fd_, std::min(end, new_size), end > new_size ? end - new_size : 0);
  }
  if (::ftruncate(fd_, static_cast<off_t>(new_size)) != 0)
    return disk_error(errno, "resize", path_);
  return {};
}

Result<std::uint64_t> DiskFile::size() const {
  struct stat facts;
  if (::fstat(fd_, &facts) != 0) return disk_error(errno, "look at", path_);
  return static_cast<std::uint64_t>(facts.st_size);
}

Result<std::uint64_t> DiskFile::bytes_on_disk() const {
  struct stat facts;
  if (::fstat(fd_, &facts) != 0) return disk_error(errno, "look at", path_);
  return static_cast<std::uint64_t>(facts.st_blocks) * 512;
}

}  // namespace lafs::cache
