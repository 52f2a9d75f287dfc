// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "grid/base/netstring.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/merkle.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::test;

namespace {

const json::value& vectors() {
  static const json::value loaded = load_vectors("primitives.json");
  return loaded;
}

// The hash cut to the vector's `truncate_to` bytes.
Bytes cut(const Hash32& hash, const json::value& c) {
  const std::size_t n = has(c, "truncate_to") ? number(c, "truncate_to") : hash.size();
  return Bytes(hash.begin(), hash.begin() + static_cast<long>(n));
}

// {"7": "hex..."} as a map.
std::map<std::uint64_t, Hash32> numbered_hashes(const json::value& object) {
  std::map<std::uint64_t, Hash32> out;
  for (const auto& [key, value] : object.as_object())
    out[*parse_decimal(std::string_view(key.data(), key.size()))] = hex_array<32>(value);
  return out;
}

std::vector<std::uint64_t> numbers(const json::value& array) {
  std::vector<std::uint64_t> out;
  for (const auto& n : array.as_array()) out.push_back(number(n));
  return out;
}

std::vector<std::uint64_t> known_nodes(const PartialMerkleTree& tree) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t i = 0; i < tree.shape().nodes(); ++i)
    if (tree.node(i)) out.push_back(i);
  return out;
}

std::vector<std::uint64_t> sorted(std::vector<std::uint64_t> v) {
  std::ranges::sort(v);
  return v;
}

}  // namespace

TEST_CASE("bytes are written in base32 as Tahoe writes them") {
  for (const auto& c : group(vectors(), "base32_encode"))
    CHECK(base32(hex(c, "raw_hex")) == text(c, "text"));
}

TEST_CASE("base32 is read as Tahoe reads it, and strictly where that matters") {
  for (const auto& c : group(vectors(), "base32_decode")) {
    const std::string given = text(c, "text");
    INFO(given);
    const auto lax = from_base32_lax(given);
    const auto strict = from_base32(given);
    if (!flag(c, "accepted")) {
      CHECK_FALSE(lax.has_value());
      CHECK_FALSE(strict.has_value());
      continue;
    }
    CHECK(lax == hex(c, "raw_hex"));
    CHECK(strict.has_value() == flag(c, "canonical"));
    if (strict) CHECK(*strict == hex(c, "raw_hex"));
  }
}

TEST_CASE("netstrings are written as Tahoe writes them") {
  for (const auto& c : group(vectors(), "netstring_encode"))
    CHECK(netstring(hex(c, "raw_hex")) == hex(c, "netstring_hex"));
}

TEST_CASE("netstrings are taken apart as Tahoe does it") {
  for (const auto& c : group(vectors(), "netstring_split")) {
    const Bytes data = hex(c, "data_hex");
    INFO(as_text(data));
    ByteView rest = ByteView(data).subspan(number(c, "position"));
    Result<> outcome;
    std::vector<Bytes> pieces;
    for (std::uint64_t i = 0; outcome && i < number(c, "count"); ++i) {
      auto piece = take_netstring(rest);
      if (piece)
        pieces.push_back(to_bytes(*piece));
      else
        outcome = fail(piece.error().code);
    }
    // A blank before the length is an accident of the original's number parser; refused here.
    if (has(c, "error") || data.front() == ' ') {
      CHECK_FALSE(outcome);
      continue;
    }
    REQUIRE(outcome);
    const auto& expected = at(c, "pieces_hex").as_array();
    REQUIRE(pieces.size() == expected.size());
    for (std::size_t i = 0; i < pieces.size(); ++i) CHECK(pieces[i] == hex(expected[i]));
    CHECK(data.size() - rest.size() == number(c, "end_position"));
  }
}

TEST_CASE("tagged hashes have Tahoe's values") {
  for (const auto& c : group(vectors(), "tagged_hash")) {
    const Bytes tag = hex(c, "tag_hex");
    const Bytes value = hex(c, "value_hex");
    const Bytes expected = hex(c, "result_hex");
    CHECK(cut(tagged_hash(tag, value), c) == expected);
    TaggedHasher hasher{ByteView(tag)};
    for (int repeat = 0; repeat < 2; ++repeat) {
      for (const std::uint8_t byte : value) hasher.update({&byte, 1});
      CHECK(cut(hasher.finish(), c) == expected);
    }
  }
}

TEST_CASE("tagged pair hashes have Tahoe's values") {
  for (const auto& c : group(vectors(), "tagged_pair_hash")) {
    const Bytes tag = hex(c, "tag_hex");
    CHECK(cut(tagged_pair_hash(as_text(tag), hex(c, "a_hex"), hex(c, "b_hex")), c) ==
          hex(c, "result_hex"));
  }
}

TEST_CASE("AES-CTR gives Tahoe's ciphertext from any offset") {
  for (const auto& c : group(vectors(), "aes_ctr")) {
    const Key16 key(hex_array<16>(c, "key_hex"));
    const Bytes plain = hex(c, "plaintext_hex");
    Bytes out(plain.size());
    AesCtr(key, number(c, "offset")).process(plain, out);
    CHECK(out == hex(c, "ciphertext_hex"));
    AesCtr back(key);
    back.seek(number(c, "offset"));
    back.process(out);
    CHECK(out == plain);
  }
}

TEST_CASE("padding leaves have Tahoe's values") {
  for (const auto& c : group(vectors(), "empty_leaf_hashes"))
    CHECK(merkle_empty_leaf(number(c, "leaf_number")) == hex_array<32>(c, "hash_hex"));
}

TEST_CASE("hash trees have Tahoe's nodes and chains") {
  for (const auto& c : group(vectors(), "hash_trees")) {
    std::vector<Hash32> leaves;
    for (const auto& leaf : at(c, "leaves_hex").as_array()) leaves.push_back(hex_array<32>(leaf));
    const std::vector<Hash32> nodes = merkle_tree(leaves);
    const auto& expected = group(c, "nodes_hex");
    REQUIRE(nodes.size() == expected.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) CHECK(nodes[i] == hex_array<32>(expected[i]));
    const MerkleShape shape(leaves.size());
    CHECK(shape.nodes() == nodes.size());
    CHECK(shape.node_of_leaf(0) == number(c, "first_leaf_node"));
    CHECK(merkle_root(leaves) == nodes[0]);

    PartialMerkleTree tree(leaves.size());
    REQUIRE(tree.set_root(nodes[0]));
    for (const auto& need : at(c, "needed").as_array()) {
      const std::uint64_t leaf = number(need, "leaf");
      CHECK(sorted(shape.siblings(leaf)) == numbers(at(need, "nodes")));
      auto with_leaf = numbers(at(need, "nodes_with_leaf"));
      std::erase(with_leaf, 0);  // the root is known already
      CHECK(sorted(tree.needed(leaf, true)) == with_leaf);
    }
  }
}

TEST_CASE("partly known hash trees accept and refuse what Tahoe's do") {
  for (const auto& c : group(vectors(), "hash_tree_checks")) {
    INFO(text(c, "title") << ", leaves: " << number(c, "leaf_count"));
    PartialMerkleTree tree(number(c, "leaf_count"));
    for (const auto& step : group(c, "steps")) {
      auto hashes = numbered_hashes(at(step, "hashes_hex"));
      if (hashes.contains(0) && !tree.has_root()) REQUIRE(tree.set_root(hashes[0]));
      const bool trusted = tree.has_root();
      const bool accepted = tree.add(hashes, numbered_hashes(at(step, "leaves_hex"))).has_value();
      // The original takes a computed root on faith when none was seeded; never here.
      CHECK(accepted == (trusted && text(step, "outcome") == "ok"));
      if (trusted)
        CHECK(known_nodes(tree) == numbers(at(step, "known")));
      else
        CHECK(known_nodes(tree).empty());
    }
  }
}
