// SPDX-License-Identifier: Apache-2.0
#pragma once

// The local disk as the cache uses it: few verbs, every change of the disk numbered. Journal,
// staging files and store do all their writing through here, so that a test (or a real daemon with
// LAFS_DISK_FAULT set) can stop it at any step, take away what was not synced, or fill the disk.
//
// A Disk outlives what was opened on it. Thread-safe: the I/O thread and the syncer share it.

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs::cache {

// What goes wrong, and at which step. Steps are the pwrites, syncs, renames, unlinks, ... and
// store commits since the Disk was made, counted from 1.
struct DiskFault {
  enum class Kind : std::uint8_t {
    none,
    kill,      // nothing happens any more from this step on; a write does half of its work
    power,     // the same, and what was not synced is lost, or some of it
    no_space,  // this step and those after it that need space fail with Errc::no_space
    io_error,  // this step fails with Errc::io, others do not
  };
  Kind kind = Kind::none;
  std::uint64_t at = 0;
  std::uint64_t seed = 0;      // which part of what was not synced survives; 0: nothing of it
  bool whole_process = false;  // kill and power end the process by SIGKILL, as they would

  // "kill:123", "power:123:SEED", "no_space:123", "io_error:123". Errc::bad_argument.
  static Result<DiskFault> parse(std::string_view text);
};

class Disk;

// An open regular file. Closed with its last owner, so that a sync can go on while others let go.
class DiskFile {
 public:
  ~DiskFile();
  DiskFile(const DiskFile&) = delete;
  DiskFile& operator=(const DiskFile&) = delete;

  Result<> write(std::uint64_t offset, ByteView data);
  // How much of `out` was filled; less than all only at the end of the file.
  Result<std::size_t> read(std::uint64_t offset, MutableBytes out) const;
  // Data, and what is needed to find it again.
  Result<> sync();
  // Bytes really on the disk for [0, size), zeros where there was nothing.
  Result<> allocate(std::uint64_t size);
  // Gives the blocks of a range back; it reads as zeros.
  Result<> punch(std::uint64_t offset, std::uint64_t length);
  Result<> resize(std::uint64_t size);
  Result<std::uint64_t> size() const;
  Result<std::uint64_t> bytes_on_disk() const;
  const std::string& path() const { return path_; }
  int fd() const { return fd_; }

 private:
  friend class Disk;
  DiskFile(Disk& disk, int fd, std::string path) : disk_(disk), fd_(fd), path_(std::move(path)) {}
  Disk& disk_;
  int fd_;
  std::string path_;
};

struct DiskSpace {
  std::uint64_t total = 0;
  std::uint64_t available = 0;  // to us
};

class Disk {
 public:
  using BootId = std::array<std::uint8_t, 16>;
  // `boot`: taken for the system's, by a test that has lost its power.
  explicit Disk(DiskFault fault = {}, std::optional<BootId> boot = {});
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // With the fault that LAFS_DISK_FAULT asks for, and the boot id LAFS_BOOT_ID (any text): a hook
  // for tests of the whole program.
  static std::unique_ptr<Disk> from_environment();

  enum class Open : std::uint8_t { existing, create_new, create_or_existing };
  // Errc::not_found, exists, no_space, io ... Files are 0600.
  Result<std::shared_ptr<DiskFile>> open(const std::string& path, Open how);
  // A file without a name, gone when closed.
  Result<std::shared_ptr<DiskFile>> open_nameless(const std::string& directory);
  Result<> make_directory(const std::string& path);  // and those above it; 0700
  Result<> rename(const std::string& from, const std::string& to);
  Result<> unlink(const std::string& path);  // one that is not there is no error
  // Makes the names made and removed in it last.
  Result<> sync_directory(const std::string& path);
  // Makes everything on the filesystem of this directory last. Slow.
  Result<> sync_all(const std::string& path);
  Result<std::vector<std::string>> names_in(const std::string& path) const;
  Result<DiskSpace> space(const std::string& path) const;
  // A commit of the database as one step: atomic and lasting when `commit` returns.
  Result<> commit(const std::string& path, const std::function<Result<>()>& commit);

  // Differs after the system was started anew: only what was synced before can be relied on then.
  const BootId& boot() const { return boot_; }

  std::uint64_t steps() const { return steps_.load(std::memory_order_relaxed); }
  // The fault has struck and nothing reaches the disk any more. The test lets go of everything,
  // calls lose_unsynced() (a power fault of the whole process does it itself) and opens anew, with
  // another Disk.
  bool dead() const { return dead_.load(std::memory_order_relaxed); }
  void lose_unsynced();

 private:
  friend class DiskFile;
  struct Faults;
  enum class Verdict : std::uint8_t { go_on, torn };
  // Counts one step and says what becomes of it. `needs_space`: a full disk refuses it.
  Result<Verdict> step(const char* what, const std::string& path, bool needs_space);
  std::unexpected<Error> die(const char* what, const std::string& path);
  void note_write(int fd, std::uint64_t offset, std::uint64_t length);
  std::size_t unsynced(int fd);
  void note_sync(int fd, std::size_t changes);
  std::string keep_aside(const std::string& path);

  BootId boot_;
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<bool> dead_{false};
  std::unique_ptr<Faults> faults_;  // null in ordinary life
};

}  // namespace lafs::cache
