// SPDX-License-Identifier: Apache-2.0
#pragma once

// Small files of a node directory: read whole, replaced atomically (write beside, sync, rename), so
// that a crash leaves the old or the new content and never half of one. Blocking; milliseconds.

#include <filesystem>

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs::grid {

inline constexpr unsigned private_file = 0600;
inline constexpr unsigned public_file = 0644;

// The Errc that fits an errno, with "path" and the system's words as the context.
std::unexpected<Error> system_error(int error, const std::filesystem::path& path,
                                    std::string_view doing);

// not_found when there is none; too_large above `limit` bytes, however much the file claims.
Result<std::string> read_small_file(const std::filesystem::path& path,
                                    std::size_t limit = 1024 * 1024);

// Replaces or creates. Synced to the disk on return.
Result<> replace_file(const std::filesystem::path& path, std::string_view content, unsigned mode);

// Creates only: false when something of that name is there already, which is then left alone. Of
// several processes that try at once exactly one gets true.
Result<bool> create_file(const std::filesystem::path& path, std::string_view content,
                         unsigned mode);

// The directory and all above it; `mode` is given to the last one when it is new.
Result<> make_directory(const std::filesystem::path& path, unsigned mode);

// Without the white space around it, as Tahoe reads its one-value files.
std::string_view trimmed(std::string_view text);

// Holds an exclusive flock() on a file (created when missing) or an existing directory.
class FileLock {
 public:
  // Waits until it is free.
  static Result<FileLock> wait(const std::filesystem::path& path);
  // Errc::busy at once when somebody else holds it.
  static Result<FileLock> try_take(const std::filesystem::path& path);

  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

  // Replaces what is in the locked file itself: what the holder says about itself.
  Result<> write(std::string_view content);

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  static Result<FileLock> take(const std::filesystem::path& path, bool wait);
  int fd_;
};

}  // namespace lafs::grid
