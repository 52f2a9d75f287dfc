// SPDX-License-Identifier: Apache-2.0
#pragma once

// `lafs bench cpu`: what one core does with the arithmetic below everything else. Plain functions
// without servers and disks; a figure that goes through a whole layer has a file of its own beside
// this one (bench_encode, bench_decode), with these as its limits.

#include <chrono>
#include <vector>

#include "frontends/cli/bench/figures.h"
#include "grid/base/result.h"

namespace lafs::cli {

// MB/s of SHA-256 over one long stream: the limit of most other things.
double sha256_rate(std::chrono::nanoseconds budget);

// MB/s of plaintext that k-of-n encoding could reach if it did nothing but its hashing, at
// `sha256` MB/s: each byte goes into the flat hash and its segment's, and n/k bytes into blocks'.
double chk_hashing_limit(double sha256, unsigned k, unsigned n);

// SHA-256, AES-128-CTR, erasure coding and decoding for k of n, encoding a whole file and
// reading it back, RSA signing, verifying and key generation; about `budget` for each.
// Errc::bad_argument unless 1 <= k <= n <= 256.
Result<std::vector<Figure>> bench_cpu(
    unsigned k, unsigned n, std::chrono::nanoseconds budget = std::chrono::milliseconds(500));

}  // namespace lafs::cli
