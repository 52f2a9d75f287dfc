// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/merkle.h"

#include <catch2/catch.hpp>
#include <random>

using namespace lafs;
using namespace lafs::grid;

namespace {

Hash32 some_hash(std::uint64_t i) { return sha256(as_bytes("leaf " + std::to_string(i))); }

std::vector<Hash32> some_leaves(std::uint64_t n) {
  std::vector<Hash32> out;
  for (std::uint64_t i = 0; i < n; ++i) out.push_back(some_hash(i));
  return out;
}

// A complete tree beside a partial one that trusts its root.
struct Pair {
  explicit Pair(std::uint64_t leaves) : full(merkle_tree(some_leaves(leaves))), part(leaves) {
    REQUIRE(part.set_root(full[0]));
  }
  std::map<std::uint64_t, Hash32> nodes(const std::vector<std::uint64_t>& indexes) const {
    std::map<std::uint64_t, Hash32> out;
    for (const auto i : indexes) out[i] = full[i];
    return out;
  }
  std::vector<std::uint64_t> known() const {
    std::vector<std::uint64_t> out;
    for (std::uint64_t i = 0; i < full.size(); ++i)
      if (part.node(i)) out.push_back(i);
    return out;
  }
  std::vector<Hash32> full;
  PartialMerkleTree part;
};

using Indexes = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("the three-leaf tree of the specification") {
  std::vector<Hash32> leaves;
  for (const auto* block : {"a", "b", "c"})
    leaves.push_back(tagged_hash("allmydata_encoded_subshare_v1", as_bytes(block)));
  const auto nodes = merkle_tree(leaves);
  REQUIRE(nodes.size() == 7);
  CHECK(to_hex(nodes[0]) == "305f8c82ff5a9415a90af86ee69326b8449a437fb39bcd395ca732e14e59364d");
  CHECK(to_hex(nodes[2]) == "0e2fb9e87c57caf2f16a36665e8610b4579e6d07ff31d43bf3f755b9e00464bc");
  CHECK(to_hex(nodes[6]) == "9ed59076b6bee6b75864630c3c20cff6934efe03a60a7fd28b69542fb13a68a3");
}

TEST_CASE("a tree of one leaf is that leaf, and a tree of none is one padding leaf") {
  CHECK(merkle_tree(some_leaves(1)) == some_leaves(1));
  CHECK(merkle_tree({}) == std::vector{merkle_empty_leaf(0)});
  CHECK(MerkleShape(0).nodes() == 1);
  CHECK(MerkleShape(1).siblings(0).empty());
  CHECK(MerkleShape(1).siblings(1).empty());
}

TEST_CASE("absurd leaf counts are counted without overflow") {
  for (const std::uint64_t leaves : {1ULL << 61, (1ULL << 62) + 1, 1ULL << 63, ~0ULL}) {
    const PartialMerkleTree tree(leaves);
    CHECK(tree.shape().width <= 1ULL << 62);
    CHECK(tree.shape().nodes() >= tree.shape().width);
    CHECK(tree.needed(0).size() <= 62);
    CHECK(tree.needed(~0ULL, true).empty());
    CHECK_FALSE(tree.leaf(~0ULL).has_value());
  }
}

TEST_CASE("chains of the specification's ten-leaf tree") {
  auto sorted = [](Indexes v) {
    std::ranges::sort(v);
    return v;
  };
  const MerkleShape shape(10);
  CHECK(shape.nodes() == 31);
  auto chain = [&](std::uint64_t leaf) {
    auto out = shape.siblings(leaf);
    out.push_back(shape.node_of_leaf(leaf));
    return sorted(out);
  };
  CHECK(chain(0) == Indexes{2, 4, 8, 15, 16});
  CHECK(chain(9) == Indexes{1, 6, 12, 23, 24});

  Pair pair(10);
  REQUIRE(pair.part.add(pair.nodes(chain(0))));
  CHECK(pair.known() == Indexes{0, 1, 2, 3, 4, 7, 8, 15, 16});
  CHECK(pair.part.needed(1, true).empty());
  CHECK(pair.part.needed(2, true) == Indexes{17, 18});
}

TEST_CASE("nothing is accepted before a root is trusted") {
  const auto full = merkle_tree(some_leaves(3));
  PartialMerkleTree tree(3);
  CHECK_FALSE(tree.has_root());
  CHECK(tree.add({}));
  CHECK_FALSE(tree.add({{0, full[0]}}));
  CHECK_FALSE(tree.add({{2, full[2]}, {4, full[4]}}, {{0, full[3]}}));
  for (std::uint64_t i = 0; i < full.size(); ++i) CHECK_FALSE(tree.node(i).has_value());
  CHECK(tree.set_root(full[0]));
  CHECK(tree.set_root(full[0]));
  CHECK(tree.set_root(full[1]).error().code == Errc::corrupt);
  CHECK(tree.add({{0, full[0]}, {2, full[2]}, {4, full[4]}}, {{0, full[3]}}));
}

TEST_CASE("a single leaf is checked against the root itself") {
  Pair pair(1);
  CHECK_FALSE(pair.part.add({}, {{0, some_hash(9)}}));
  CHECK(pair.part.add({}, {{0, some_hash(0)}}));
  CHECK(pair.part.leaf(0) == some_hash(0));
}

TEST_CASE("a batch with one flaw leaves the tree as it was") {
  for (const std::uint64_t leaves : {2, 3, 5, 8, 13}) {
    for (std::uint64_t leaf = 0; leaf < leaves; ++leaf) {
      Pair pair(leaves);
      const auto before = pair.known();
      const auto good = pair.nodes(pair.part.needed(leaf, true));
      for (const auto& [index, hash] : good) {
        INFO("leaves " << leaves << ", leaf " << leaf << ", node " << index);
        auto wrong = good;
        wrong[index][31] ^= 1;
        CHECK(pair.part.add(wrong).error().code == Errc::corrupt);
        auto missing = good;
        missing.erase(index);
        // Without the only pair of a two-leaf tree there is nothing to check and nothing to refuse.
        if (!missing.empty()) CHECK(pair.part.add(missing).error().code == Errc::corrupt);
        CHECK(pair.known() == before);
      }
      auto outside = good;
      outside[pair.full.size()] = some_hash(0);
      CHECK(pair.part.add(outside).error().code == Errc::corrupt);
      CHECK(pair.part.add(good, {{~0ULL, some_hash(0)}}).error().code == Errc::corrupt);
      CHECK(pair.part.add(good, {{leaf, some_hash(leaf + 1)}}).error().code == Errc::corrupt);
      CHECK(pair.known() == before);
      REQUIRE(pair.part.add(good));
      CHECK(pair.part.leaf(leaf) == some_hash(leaf));
      CHECK(pair.part.needed(leaf, true).empty());
      CHECK(pair.part.add(good));
      CHECK(pair.part.add({}, {{leaf, some_hash(leaf + 1)}}).error().code == Errc::corrupt);
      CHECK(pair.part.leaf(leaf) == some_hash(leaf));
    }
  }
}

TEST_CASE("a partial tree fed at random never holds a node the complete tree does not have") {
  std::mt19937 rng(7);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t leaves = 1 + rng() % 40;
    Pair pair(leaves);
    for (int step = 0; step < 12; ++step) {
      std::map<std::uint64_t, Hash32> nodes;
      std::map<std::uint64_t, Hash32> leaf_hashes;
      const std::uint64_t leaf = rng() % leaves;
      for (const auto i : pair.part.needed(leaf, rng() % 2 == 0)) nodes[i] = pair.full[i];
      if (rng() % 2) leaf_hashes[leaf] = some_hash(leaf);
      for (unsigned extra = rng() % 3; extra > 0; --extra) {
        const std::uint64_t i = rng() % pair.full.size();
        nodes[i] = pair.full[i];
      }
      bool lying = false;
      if (rng() % 3 == 0 && !nodes.empty()) {
        auto it = std::next(nodes.begin(), static_cast<long>(rng() % nodes.size()));
        it->second[rng() % 32] ^= static_cast<std::uint8_t>(1 + rng() % 255);
        lying = true;
      }
      const auto before = pair.known();
      const bool accepted = pair.part.add(nodes, leaf_hashes).has_value();
      if (lying) CHECK_FALSE(accepted);
      if (!accepted) CHECK(pair.known() == before);
      for (const auto i : pair.known()) CHECK(pair.part.node(i) == pair.full[i]);
      // The invariant: a known node's sibling and parent are known too.
      for (const auto i : pair.known()) {
        if (i == 0) continue;
        CHECK(pair.part.node(i % 2 ? i + 1 : i - 1).has_value());
        CHECK(pair.part.node((i - 1) / 2).has_value());
      }
    }
    for (std::uint64_t leaf = 0; leaf < leaves; ++leaf) {
      REQUIRE(pair.part.add(pair.nodes(pair.part.needed(leaf, true))));
      CHECK(pair.part.leaf(leaf) == some_hash(leaf));
    }
  }
}
