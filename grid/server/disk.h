// SPDX-License-Identifier: Apache-2.0
#pragma once

// The server's hands on the disk. Reading is free; every change is one named step of a Disk, so
// that a test can stop the world before any of them (DiskServer::Options::allow_step), and so that
// durability is decided in one place (and another may watch what has happened:
// DiskServer::Options::step_done). Runs on pool threads; one Disk may be used by several.

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs::grid::storage {

// An open file. Errors name its path. Errc: not_found, access_denied, no_space, too_large, io.
class File {
 public:
  static Result<File> open(const std::filesystem::path& path, bool writable = false);
  // A file of no more than `limit` bytes, as it is now, in memory: what is written to it there
  // stays there. A longer one is opened.
  static Result<File> load(const std::filesystem::path& path, std::uint64_t limit);
  // An empty file in memory. Errors speak of it as `path`.
  static File in_memory(std::filesystem::path path);
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::filesystem::path& path() const { return path_; }
  Result<std::uint64_t> size() const;
  // What it takes of the disk: less than its size when it has holes.
  Result<std::uint64_t> disk_size() const;
  // Fills `to` from `offset`; returns how much there was before the end of the file.
  Result<std::size_t> read(std::uint64_t offset, MutableBytes to) const;
  // All of `to`, or Errc::corrupt when the file is too short.
  Result<> read_exactly(std::uint64_t offset, MutableBytes to) const;
  // As read_exactly(), if that needs no disk: false when the bytes are not in the page cache.
  Result<bool> read_cached(std::uint64_t offset, MutableBytes to) const;
  // When it was written last: unix seconds.
  Result<std::int64_t> modified() const;
  // What a file in memory holds; nullptr: it is none.
  const Bytes* memory() const { return memory_.get(); }

 private:
  friend class Disk;
  File(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::filesystem::path path_;
  std::unique_ptr<Bytes> memory_;
};

// A file in memory may be written to as well, which is no step: nothing of it is on the disk.
class Disk {
 public:
  // A step that was done, and with which paths; `to` is the new name of a rename.
  using StepDone = std::function<void(std::string_view step, const std::filesystem::path& path,
                                      const std::filesystem::path& to)>;

  // For tests: asked before each write; a number has so many of its bytes written, and then the
  // disk is full.
  using TearWrite = std::function<std::optional<std::size_t>(const std::filesystem::path&)>;

  // `durable`: whether the syncs do anything.
  explicit Disk(bool durable = true, std::function<bool(std::string_view)> allow_step = {},
                StepDone step_done = {}, TearWrite tear_write = {});

  Result<File> create(const std::filesystem::path& path);  // readable and writable, and empty
  Result<> write(const File& file, std::uint64_t offset, ByteView data);
  // Has the disk begin with what was just written there, so that a later sync() has less to wait
  // for. No step: nothing changes, and nothing is promised.
  void begin_writing_out(const File& file, std::uint64_t offset, std::uint64_t length);
  // Room on the disk for bytes behind the file's end, so that writing them will not fail for want
  // of it. No step: nobody sees it.
  Result<> reserve(const File& file, std::uint64_t offset, std::uint64_t length);
  Result<> resize(const File& file, std::uint64_t size);
  // Makes `to`, which is empty, a copy of `from`; holes stay holes.
  Result<> copy(const File& from, const File& to);
  Result<> sync(const File& file);
  Result<> rename(const std::filesystem::path& from, const std::filesystem::path& to);
  // It is no error when there was nothing.
  Result<> remove(const std::filesystem::path& path);
  // Creates what is missing on the way from `root`, which exists. Returns the directories that got
  // a name by that: it lasts once they are synced.
  Result<std::vector<std::filesystem::path>> make_missing(const std::filesystem::path& root,
                                                          const std::filesystem::path& directory);
  // The same and, with `lasting`, durable.
  Result<> make_directories(const std::filesystem::path& root,
                            const std::filesystem::path& directory, bool lasting = true);
  // When it is empty; whether it was.
  bool remove_directory(const std::filesystem::path& directory);
  // After names in it have changed.
  Result<> sync_directory(const std::filesystem::path& directory);
  // All that was changed on the disk which `directory` is on, by anybody: worth it for many changes
  // at once.
  Result<> sync_all(const std::filesystem::path& directory);

 private:
  Result<> step(std::string_view name);
  Result<> sync_through(const std::filesystem::path& directory, int (*how)(int));
  void done(std::string_view name, const std::filesystem::path& path,
            const std::filesystem::path& to = {}) {
    if (step_done_) step_done_(name, path, to);
  }

  bool durable_;
  std::function<bool(std::string_view)> allow_step_;
  StepDone step_done_;
  TearWrite tear_write_;
  std::atomic<bool> dead_ = false;  // a step was refused: nothing may happen any more
};

// Whether sync_all() reaches the disk there: on FUSE it tells the kernel only.
bool can_sync_all(const std::filesystem::path& directory);

// errno as an Error: `doing` and the path go into the context.
Error disk_error(std::string_view doing, const std::filesystem::path& path, int error);

}  // namespace lafs::grid::storage
