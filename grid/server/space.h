// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much of the disk may still be filled (spec/storage 4.3, 5.4). Arithmetic, and the one
// question to the file system.

#include <filesystem>
#include <functional>

#include "grid/base/task.h"

namespace lafs::grid::storage {

// What the server itself has on the disk or has promised away.
struct SpaceInUse {
  std::uint64_t promised = 0;  // to uploads, and not written yet
  std::uint64_t uploads = 0;   // size of all uploads in progress
  // What complete shares take; nothing while nobody knows.
  std::optional<std::uint64_t> shares = {};
};

class Space {
 public:
  // `probe`: bytes free on the disk. `reserved`: bytes of it that are left to others. `limit`: what
  // all shares and uploads together may take.
  Space(std::function<std::uint64_t()> probe, std::uint64_t reserved,
        std::optional<std::uint64_t> limit, bool read_only)
      : probe_(std::move(probe)), reserved_(reserved), limit_(limit), read_only_(read_only) {}

  void set(std::uint64_t reserved, std::optional<std::uint64_t> limit, bool read_only) {
    reserved_ = reserved;
    limit_ = limit;
    read_only_ = read_only;
  }
  // Bytes on offer to new immutable shares; 0 when read-only.
  std::uint64_t available(const SpaceInUse& in_use) { return offer(probe_(), in_use); }
  // The same, but the disk is asked once a second at most: every client asks once a second.
  std::uint64_t recently_available(TimePoint now, const SpaceInUse& in_use);
  // Bytes free on the disk, reserve and promises included: mutable shares may use them, since a
  // directory that cannot be changed is worse than a reserve that shrinks.
  std::uint64_t on_disk() { return probe_(); }
  // What is left of the limit; 2^64-1 without one. 0 while nobody knows what the shares take.
  std::uint64_t below_limit(const SpaceInUse& in_use) const;

 private:
  std::uint64_t offer(std::uint64_t free, const SpaceInUse& in_use) const;

  std::function<std::uint64_t()> probe_;
  std::uint64_t reserved_;
  std::optional<std::uint64_t> limit_;
  bool read_only_;
  std::uint64_t last_ = 0;
  std::optional<TimePoint> last_at_;
};

// Asks the file system: bytes that a user may fill. 0 when it does not tell.
std::uint64_t free_space_of(const std::filesystem::path& directory);

}  // namespace lafs::grid::storage
