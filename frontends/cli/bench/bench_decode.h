// SPDX-License-Identifier: Apache-2.0
#pragma once

// The whole way from shares to plaintext, without a network: what a download costs the processor.

#include <chrono>
#include <vector>

#include "frontends/cli/bench/figures.h"
#include "grid/base/result.h"

namespace lafs::cli {

// Reading a file with one thread for the arithmetic, from its first k shares and from its last k
// (where all blocks are computed); MB/s of plaintext. The limit is what checking each block and
// each segment and decrypting allow at `sha256` and `aes` MB/s. Errc::bad_argument unless 1 <= k <=
// n <= 256.
Result<std::vector<Figure>> bench_decode(unsigned k, unsigned n, double sha256, double aes,
                                         std::chrono::nanoseconds budget);

}  // namespace lafs::cli
