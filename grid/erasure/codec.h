// SPDX-License-Identifier: Apache-2.0
#pragma once

// zfec's erasure code on ISA-L's kernels (spec/immutable 5): any k of n blocks give back the k
// pieces. Blocks 0..k-1 are the pieces themselves. Pure arithmetic; thread safe after make().

#include <memory>
#include <span>

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs::grid {

class Codec {
 public:
  // Errc::bad_argument unless 1 <= k <= n <= 256. The last few are kept by each thread: cheap
  // to ask for again.
  static Result<std::shared_ptr<const Codec>> make(unsigned k, unsigned n);

  unsigned k() const { return k_; }
  unsigned n() const { return n_; }
  // Row-major n x k; the first k rows are the identity.
  const Bytes& matrix() const { return matrix_; }

  // Computes blocks k..n-1. `pieces`: k pointers, `parity`: n-k pointers, each to `length` bytes.
  void encode(std::span<const std::uint8_t* const> pieces, std::span<std::uint8_t* const> parity,
              std::size_t length) const;

  // Computes all k pieces from exactly k blocks of `length` bytes with distinct numbers, in any
  // order; Errc::bad_argument otherwise. `pieces`: k pointers, null for a piece that is not wanted;
  // a piece may not overlap a block. Pieces that are among the blocks cost a copy, the others
  // their share of the arithmetic.
  Result<> decode(std::span<const unsigned> numbers, std::span<const std::uint8_t* const> blocks,
                  std::span<std::uint8_t* const> pieces, std::size_t length) const;

 private:
  Codec(unsigned k, unsigned n);
  unsigned k_;
  unsigned n_;
  Bytes matrix_;
  Bytes tables_;  // ISA-L's expanded tables of rows k..n-1
};

}  // namespace lafs::grid
