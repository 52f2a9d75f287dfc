// SPDX-License-Identifier: Apache-2.0
#include "grid/tree_stats.h"

#include <cmath>

namespace lafs::grid {

SizeRange bucket_range(unsigned bucket) {
  if (bucket == 0) return {0, 0};
  const auto upper = [](unsigned b) -> std::uint64_t {
    if (b == 0) return 0;
    if (b >= 38) return UINT64_MAX;
    return static_cast<std::uint64_t>(std::floor(std::pow(10.0L, b / 2.0L)));
  };
  return {upper(bucket - 1) + 1, upper(bucket)};
}

unsigned size_bucket(std::uint64_t size) {
  unsigned bucket = 0;
  while (bucket_range(bucket).most < size) ++bucket;
  return bucket;
}

void TreeStats::add(const Found& found) {
  const auto& cap = found.cap;
  if (cap.is_directory()) {
    ++directories;
    if (found.listing) {
      // Packed: as long as its file, mostly.
      const auto bytes = found.listing->entries().bytes()->size();
      directory_bytes += bytes;
      largest_directory = std::max<std::uint64_t>(largest_directory, bytes);
      largest_directory_children =
          std::max<std::uint64_t>(largest_directory_children, found.listing->size());
    } else if (found.error) {
      ++unreadable_directories;
    }
  } else if (cap.is_unknown() || cap.is_verifier()) {
    ++unknown;
  } else if (cap.is_mutable()) {
    ++mutable_files;
  } else {
    const auto size = cap.size().value_or(0);
    ++(cap.is_literal() ? literal_files : immutable_files);
    (cap.is_literal() ? literal_bytes : immutable_bytes) += size;
    if (!cap.is_literal()) largest_immutable_file = std::max(largest_immutable_file, size);
    ++histogram[size_bucket(size)];
  }
}

}  // namespace lafs::grid
