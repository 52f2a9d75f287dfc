// SPDX-License-Identifier: Apache-2.0
#include "grid/server/space.h"

#include <sys/statvfs.h>

namespace lafs::grid::storage {

std::uint64_t Space::available() {
  if (read_only_) return 0;
  const auto free = probe_();
  return free > reserved_ ? free - reserved_ : 0;
}

std::uint64_t Space::recently_available(TimePoint now) {
  if (!last_at_ || now - *last_at_ >= std::chrono::seconds(1)) {
    last_ = available();
    last_at_ = now;
  }
  return last_;
}

std::uint64_t free_space_of(const std::filesystem::path& directory) {
  struct statvfs facts{};
  if (::statvfs(directory.c_str(), &facts) != 0) return 0;
  return std::uint64_t{facts.f_bavail} * facts.f_frsize;
}

}  // namespace lafs::grid::storage
