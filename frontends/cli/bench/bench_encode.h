// SPDX-License-Identifier: Apache-2.0
#pragma once

// The whole way from plaintext to the blocks and hash trees of n shares, without a network: what an
// upload costs the processor.

#include <chrono>
#include <vector>

#include "frontends/cli/bench/figures.h"
#include "grid/base/result.h"

namespace lafs::cli {

// Encoding and its convergence pass with one thread, encoding with all threads; MB/s of plaintext.
// Each limit is what hashing alone would allow at `sha256` MB/s for a thread. Errc::bad_argument
// unless 1 <= k <= n <= 256.
Result<std::vector<Figure>> bench_encode(unsigned k, unsigned n, double sha256,
                                         std::chrono::nanoseconds budget);

}  // namespace lafs::cli
