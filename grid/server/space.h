// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much of the disk may still be filled (spec/storage 4.3, 5.4).

#include <filesystem>
#include <functional>

#include "grid/base/task.h"

namespace lafs::grid::storage {

class Space {
 public:
  // `probe`: bytes free on the disk.
  Space(std::function<std::uint64_t()> probe, std::uint64_t reserved, bool read_only)
      : probe_(std::move(probe)), reserved_(reserved), read_only_(read_only) {}

  // Bytes on offer to new shares; 0 when read-only.
  std::uint64_t available();
  // The same, not older than a second: every client asks once a second.
  std::uint64_t recently_available(TimePoint now);

 private:
  std::function<std::uint64_t()> probe_;
  std::uint64_t reserved_;
  bool read_only_;
  std::uint64_t last_ = 0;
  std::optional<TimePoint> last_at_;
};

// Asks the file system: bytes that a user may fill. 0 when it does not tell.
std::uint64_t free_space_of(const std::filesystem::path& directory);

}  // namespace lafs::grid::storage
