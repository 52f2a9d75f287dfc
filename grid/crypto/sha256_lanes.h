// SPDX-License-Identifier: Apache-2.0
#pragma once

// SHA-256 of sixteen messages at once with AVX-512: lane i of every register belongs to message i.
// For hash_many.cc.

#include <array>
#include <span>

#include "grid/base/bytes.h"

namespace lafs::grid {

inline constexpr unsigned sha256_lanes = 16;

// Asked of the CPU once.
bool sha256_lanes_available();

// out = SHA256(SHA256(prefix || data)); prefix_length < 64 <= prefix_length + data.size().
struct LaneJob {
  ByteView data;
  std::uint8_t* out;
  std::array<std::uint8_t, 64> prefix{};
  unsigned prefix_length = 0;
};

// Only where sha256_lanes_available(). A lane whose message has ended takes the next one, so
// lengths may differ; longest first is best.
void sha256d_in_lanes(std::span<const LaneJob> jobs);

}  // namespace lafs::grid
