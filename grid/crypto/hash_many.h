// SPDX-License-Identifier: Apache-2.0
#pragma once

// Many tagged hashes at once: sixteen messages side by side where the CPU has AVX-512, which is
// about twice as fast per core as one after the other, and one after the other elsewhere. The
// results are the same.

#include <span>

#include "grid/crypto/hash.h"

namespace lafs::grid {

// *out = TH(tag, data). All of it stays until hash_many() returns.
struct HashJob {
  std::string_view tag;
  ByteView data;
  Hash32* out;
};

// In any order of lengths; the fuller the lanes, the better: with messages of about the same
// length, multiples of hash_lanes().
void hash_many(std::span<HashJob> jobs);

// How many messages are hashed side by side here: 16, or 1.
unsigned hash_lanes();

// Tests and benchmarks: one after the other, whatever the CPU has.
void hash_many_plainly(std::span<HashJob> jobs);

}  // namespace lafs::grid
