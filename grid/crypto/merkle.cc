// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/merkle.h"

#include <bit>

#include "grid/base/netstring.h"

namespace lafs::grid {
namespace {

constexpr std::string_view kNodeTag = "Merkle tree internal node";
constexpr std::string_view kPaddingTag = "Merkle tree empty leaf";
// Keeps the arithmetic in 64 bits whatever leaf count somebody claims; no such tree can exist.
constexpr std::uint64_t kWidest = std::uint64_t{1} << 62;

std::uint64_t parent_of(std::uint64_t node) { return (node - 1) / 2; }
std::uint64_t sibling_of(std::uint64_t node) { return node % 2 == 1 ? node + 1 : node - 1; }

}  // namespace

MerkleShape::MerkleShape(std::uint64_t leaf_count)
    : leaves(leaf_count),
      width(leaf_count >= kWidest ? kWidest
                                  : std::bit_ceil(std::max<std::uint64_t>(leaf_count, 1))) {}

std::vector<std::uint64_t> MerkleShape::siblings(std::uint64_t leaf) const {
  std::vector<std::uint64_t> out;
  if (leaf >= width) return out;
  for (std::uint64_t node = node_of_leaf(leaf); node != 0; node = parent_of(node))
    out.push_back(sibling_of(node));
  return out;
}

Hash32 merkle_empty_leaf(std::uint64_t leaf_number) {
  thread_local TaggedHasher hasher(kPaddingTag);
  return hasher.hash(as_bytes(std::to_string(leaf_number)));
}

Hash32 merkle_parent(const Hash32& left, const Hash32& right) {
  thread_local TaggedHasher hasher(kNodeTag);
  // Two netstrings of 32 bytes each: "32:" left "," "32:" right ",".
  std::array<std::uint8_t, 2 * (3 + 32 + 1)> pair;
  std::uint8_t* p = pair.data();
  for (const Hash32* hash : {&left, &right}) {
    p = std::copy_n("32:", 3, p);
    p = std::copy(hash->begin(), hash->end(), p);
    *p++ = ',';
  }
  return hasher.hash(pair);
}

std::vector<Hash32> merkle_tree(std::span<const Hash32> leaves) {
  const MerkleShape shape(leaves.size());
  std::vector<Hash32> nodes(shape.nodes());
  std::copy(leaves.begin(), leaves.end(), nodes.begin() + static_cast<long>(shape.node_of_leaf(0)));
  for (std::uint64_t leaf = leaves.size(); leaf < shape.width; ++leaf)
    nodes[shape.node_of_leaf(leaf)] = merkle_empty_leaf(leaf);
  for (std::uint64_t node = shape.width - 1; node-- > 0;)
    nodes[node] = merkle_parent(nodes[2 * node + 1], nodes[2 * node + 2]);
  return nodes;
}

Hash32 merkle_root(std::span<const Hash32> leaves) { return merkle_tree(leaves).front(); }

PartialMerkleTree::PartialMerkleTree(std::uint64_t leaves) : shape_(leaves) {}

Result<> PartialMerkleTree::set_root(const Hash32& root) {
  const auto [known, fresh] = known_.emplace(0, root);
  if (!fresh && known->second != root) return fail(Errc::corrupt, "hash tree: two different roots");
  return {};
}

std::optional<Hash32> PartialMerkleTree::node(std::uint64_t index) const {
  const auto known = known_.find(index);
  if (known == known_.end()) return std::nullopt;
  return known->second;
}

std::optional<Hash32> PartialMerkleTree::leaf(std::uint64_t number) const {
  if (number >= shape_.width) return std::nullopt;
  return node(shape_.node_of_leaf(number));
}

std::vector<std::uint64_t> PartialMerkleTree::needed(std::uint64_t leaf, bool with_leaf) const {
  auto out = shape_.siblings(leaf);
  if (with_leaf && leaf < shape_.width) out.insert(out.begin(), shape_.node_of_leaf(leaf));
  std::erase_if(out, [&](std::uint64_t index) { return known_.contains(index); });
  return out;
}

Result<> PartialMerkleTree::add(const std::map<std::uint64_t, Hash32>& nodes,
                                const std::map<std::uint64_t, Hash32>& leaves) {
  // What this batch adds. Nothing touches known_ before everything in here is proven.
  std::map<std::uint64_t, Hash32> fresh;
  auto offer = [&](std::uint64_t index, const Hash32& hash) -> Result<> {
    const auto where = [index] { return "hash tree: node " + std::to_string(index); };
    if (index >= shape_.nodes()) return fail(Errc::corrupt, where() + " is outside of the tree");
    if (const auto known = known_.find(index); known != known_.end()) {
      if (known->second != hash) return fail(Errc::corrupt, where() + " is wrong");
      return {};
    }
    if (index == 0) return fail(Errc::corrupt, where() + ": no trusted root to compare with");
    const auto [given, inserted] = fresh.emplace(index, hash);
    if (!inserted && given->second != hash) return fail(Errc::corrupt, where() + " is wrong");
    return {};
  };
  for (const auto& [index, hash] : nodes) TRY_DO(offer(index, hash));
  for (const auto& [number, hash] : leaves) {
    if (number >= shape_.width)
      return fail(Errc::corrupt,
                  "hash tree: leaf " + std::to_string(number) + " is outside of the tree");
    TRY_DO(offer(shape_.node_of_leaf(number), hash));
  }
  auto find = [&](std::uint64_t index) -> const Hash32* {
    if (const auto it = fresh.find(index); it != fresh.end()) return &it->second;
    if (const auto it = known_.find(index); it != known_.end()) return &it->second;
    return nullptr;
  };
  // Children have larger indexes than parents, so going down in index goes up in the tree. The
  // parent a pair proves is offered in turn, and must then itself prove the one above it.
  auto below = shape_.nodes();
  while (true) {
    auto next = fresh.lower_bound(below);
    if (next == fresh.begin()) break;
    const std::uint64_t index = std::prev(next)->first;
    const std::uint64_t left = index % 2 == 1 ? index : index - 1;
    const Hash32* left_hash = find(left);
    const Hash32* right_hash = find(left + 1);
    if (!left_hash || !right_hash)
      return fail(Errc::corrupt,
                  "hash tree: node " + std::to_string(sibling_of(index)) + " is missing");
    TRY_DO(offer(parent_of(index), merkle_parent(*left_hash, *right_hash)));
    below = left;
  }
  known_.merge(fresh);
  return {};
}

}  // namespace lafs::grid
