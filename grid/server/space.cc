// SPDX-License-Identifier: Apache-2.0
#include "grid/server/space.h"

#include <sys/statvfs.h>

#include <algorithm>

namespace lafs::grid::storage {

namespace {
std::uint64_t less(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }
}  // namespace

std::uint64_t Space::below_limit(const SpaceInUse& in_use) const {
  if (!limit_) return UINT64_MAX;
  if (!in_use.shares) return 0;
  return less(less(*limit_, *in_use.shares), in_use.uploads);
}

std::uint64_t Space::offer(std::uint64_t free, const SpaceInUse& in_use) const {
  if (read_only_) return 0;
  return std::min(less(less(free, reserved_), in_use.promised), below_limit(in_use));
}

std::uint64_t Space::recently_available(TimePoint now, const SpaceInUse& in_use) {
  if (!last_at_ || now - *last_at_ >= std::chrono::seconds(1)) {
    last_ = probe_();
    last_at_ = now;
  }
  return offer(last_, in_use);
}

std::uint64_t free_space_of(const std::filesystem::path& directory) {
  struct statvfs facts{};
  if (::statvfs(directory.c_str(), &facts) != 0) return 0;
  return std::uint64_t{facts.f_bavail} * facts.f_frsize;
}

}  // namespace lafs::grid::storage
