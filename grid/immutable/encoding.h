// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a file is spread: any k of n shares give it back, and an upload has succeeded when `happy`
// distinct servers hold shares (spec/immutable 4.1, 10.2).

#include <cstdint>

#include "grid/base/result.h"

namespace lafs::grid {

struct Encoding {
  std::uint64_t k = 3;
  std::uint64_t happy = 7;
  std::uint64_t n = 10;
  std::uint64_t max_segment_size = 1 << 20;  // bytes

  // Errc::bad_argument unless 1 <= k <= n <= 256, happy <= n and 1 <= max_segment_size <= 128 MiB.
  Result<> check() const;
  bool operator==(const Encoding&) const = default;
};

}  // namespace lafs::grid
