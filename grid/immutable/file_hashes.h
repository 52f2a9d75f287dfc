// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is known to be true of one immutable file: its verify cap, and whatever servers have said
// that a chain of hashes binds to it. Roots come from the UEB before any server's hash is accepted
// (spec/immutable 6.4).

#include "grid/caps/cap.h"
#include "grid/crypto/merkle.h"
#include "grid/immutable/geometry.h"

namespace lafs::grid {

// Errc::bad_cap for k = 0, k > n, n > 256 and size 0 (spec/immutable 15).
Result<> check_usable(const ChkVerifyCap& cap);

class FileHashes {
 public:
  // A usable cap.
  explicit FileHashes(const ChkVerifyCap& cap) : cap_(cap) {}

  const ChkVerifyCap& cap() const { return cap_; }
  // Before the UEB: sizes as an uploader with default settings would have chosen them.
  const Geometry& guess() const;

  bool known() const { return geometry_.has_value(); }
  // The rest needs known().
  const Geometry& geometry() const { return *geometry_; }
  const Bytes& ueb() const { return ueb_; }
  PartialMerkleTree& share_tree() { return *share_tree_; }
  PartialMerkleTree& ciphertext_tree() { return *ciphertext_tree_; }

  // Errc::corrupt unless it has the hash of the cap and parses; Errc::too_large when its segments
  // are larger than we hold in memory.
  Result<> learn_ueb(ByteView bytes);
  // Forgets most of the ciphertext tree when it has become large. While no segment is being read.
  void trim();

 private:
  ChkVerifyCap cap_;
  mutable std::optional<Geometry> guess_;
  std::optional<Geometry> geometry_;
  Bytes ueb_;
  Hash32 ciphertext_root_{};
  std::optional<PartialMerkleTree> share_tree_;
  std::optional<PartialMerkleTree> ciphertext_tree_;
  std::uint64_t segments_checked_ = 0;
};

}  // namespace lafs::grid
