// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tahoe's hash trees (spec/immutable 6): a complete binary tree in heap order, root at 0, padded
// to a power of two leaves with hashes of the decimal leaf number.

#include <map>
#include <vector>

#include "grid/base/result.h"
#include "grid/crypto/hash.h"

namespace lafs::grid {

// Shape of a tree over `leaves` leaves. 0 leaves count as a tree of one (padding) leaf.
struct MerkleShape {
  explicit MerkleShape(std::uint64_t leaves);

  std::uint64_t leaves;
  std::uint64_t width;  // leaves with padding: a power of two, at least 1

  std::uint64_t nodes() const { return 2 * width - 1; }
  std::uint64_t node_of_leaf(std::uint64_t leaf) const { return width - 1 + leaf; }
  // Siblings on the way from a leaf to the root, bottom up; neither the leaf nor the root.
  std::vector<std::uint64_t> siblings(std::uint64_t leaf) const;
};

Hash32 merkle_empty_leaf(std::uint64_t leaf_number);
Hash32 merkle_parent(const Hash32& left, const Hash32& right);

// All nodes, index 0 first.
std::vector<Hash32> merkle_tree(std::span<const Hash32> leaves);
Hash32 merkle_root(std::span<const Hash32> leaves);

// A tree known in part, filled with hashes from servers that are checked against a trusted root.
// Invariant: every known node but the root is consistent with its sibling and parent. Until a root
// is set, nothing is accepted.
class PartialMerkleTree {
 public:
  explicit PartialMerkleTree(std::uint64_t leaves);

  const MerkleShape& shape() const { return shape_; }
  // From a source that is trusted already. Errc::corrupt when a different root is known.
  Result<> set_root(const Hash32& root);
  bool has_root() const { return known_.contains(0); }
  std::optional<Hash32> node(std::uint64_t index) const;
  std::optional<Hash32> leaf(std::uint64_t number) const;
  // What is still to be fetched before `leaf` can be checked: unknown siblings, and the leaf's own
  // node when `with_leaf`.
  std::vector<std::uint64_t> needed(std::uint64_t leaf, bool with_leaf = false) const;
  // All or nothing (spec/immutable 6.4): contradictions, indexes out of range, missing siblings and
  // wrong parents are Errc::corrupt and leave the tree as it was. `leaves` maps leaf numbers.
  Result<> add(const std::map<std::uint64_t, Hash32>& nodes,
               const std::map<std::uint64_t, Hash32>& leaves = {});

 private:
  MerkleShape shape_;
  std::map<std::uint64_t, Hash32> known_;
};

}  // namespace lafs::grid
