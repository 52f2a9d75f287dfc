// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "grid/crypto/hash.h"
#include "grid/erasure/codec.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::test;

namespace {

const json::value& vectors() {
  static const json::value loaded = load_vectors("erasure.json");
  return loaded;
}

struct Case {
  explicit Case(const json::value& c)
      : k(static_cast<unsigned>(number(c, "k"))), n(static_cast<unsigned>(number(c, "n"))) {
    auto made = Codec::make(k, n);
    REQUIRE(made);
    codec = *made;
  }
  ByteView row(unsigned r) const {
    return ByteView(codec->matrix()).subspan(std::size_t{r} * k, k);
  }
  unsigned k;
  unsigned n;
  std::shared_ptr<const Codec> codec;
};

// All n blocks of the case's input.
std::vector<Bytes> encode(const Case& c, const json::value& encode) {
  const std::size_t size = number(encode, "block_size");
  const Bytes input = plaintext(at(encode, "input"));
  REQUIRE(input.size() == size * c.k);
  REQUIRE(to_hex(sha256(input)) == text(encode, "plain_sha256"));
  std::vector<Bytes> blocks(c.n, Bytes(size));
  std::vector<const std::uint8_t*> pieces;
  std::vector<std::uint8_t*> parity;
  for (unsigned i = 0; i < c.n; ++i) {
    if (i < c.k) {
      blocks[i].assign(input.begin() + static_cast<long>(i * size),
                       input.begin() + static_cast<long>((i + 1) * size));
      pieces.push_back(blocks[i].data());
    } else {
      parity.push_back(blocks[i].data());
    }
  }
  c.codec->encode(pieces, parity, size);
  return blocks;
}

}  // namespace

TEST_CASE("the generator matrix is zfec's") {
  for (const auto& v : group(vectors(), "cases")) {
    const Case c(v);
    INFO(c.k << " of " << c.n);
    CHECK(to_hex(sha256(c.codec->matrix())) == text(v, "matrix_sha256"));
    if (has(v, "row_sha256")) {
      const auto& rows = group(v, "row_sha256");
      REQUIRE(rows.size() == c.n);
      for (unsigned r = 0; r < c.n; ++r) CHECK(to_hex(sha256(c.row(r))) == text(rows[r]));
    }
    const auto& parity_rows = at(v, "parity_rows_hex").as_array();
    for (unsigned r = 0; r < parity_rows.size(); ++r)
      CHECK(equal(c.row(c.k + r), hex(parity_rows[r])));
    if (has(v, "last_parity_row_hex")) CHECK(equal(c.row(c.n - 1), hex(v, "last_parity_row_hex")));
  }
}

TEST_CASE("blocks are zfec's") {
  for (const auto& v : group(vectors(), "cases")) {
    const Case c(v);
    INFO(c.k << " of " << c.n);
    const auto& expected = at(v, "encode");
    const auto blocks = encode(c, expected);
    // All of them in order, or for many blocks a selection by number.
    const auto& digests = at(expected, "block_sha256");
    if (digests.is_array()) {
      REQUIRE(digests.as_array().size() == blocks.size());
      for (unsigned i = 0; i < blocks.size(); ++i)
        CHECK(to_hex(sha256(blocks[i])) == text(digests.as_array()[i]));
    } else {
      REQUIRE_FALSE(digests.as_object().empty());
      for (const auto& [key, digest] : digests.as_object())
        CHECK(to_hex(sha256(blocks.at(std::stoul(std::string(key))))) == text(digest));
    }
    Bytes all;
    for (const auto& block : blocks) append(all, block);
    CHECK(to_hex(sha256(all)) == text(expected, "all_blocks_sha256"));
    if (has(expected, "blocks_hex")) {
      const auto& wanted = group(expected, "blocks_hex");
      for (unsigned i = 0; i < wanted.size(); ++i) CHECK(blocks[i] == hex(wanted[i]));
    }
  }
}

TEST_CASE("the recorded sets of shares give the input back") {
  for (const auto& v : group(vectors(), "cases")) {
    const Case c(v);
    const auto blocks = encode(c, at(v, "encode"));
    for (const auto& d : group(v, "decode")) {
      std::vector<unsigned> numbers;
      std::vector<const std::uint8_t*> given;
      for (const auto& share : group(d, "shares")) {
        numbers.push_back(static_cast<unsigned>(number(share)));
        given.push_back(blocks[numbers.back()].data());
      }
      const std::size_t size = blocks[0].size();
      Bytes out(size * c.k);
      std::vector<std::uint8_t*> pieces;
      for (unsigned i = 0; i < c.k; ++i) pieces.push_back(out.data() + i * size);
      REQUIRE(c.codec->decode(numbers, given, pieces, size));
      CHECK(to_hex(sha256(out)) == text(d, "result_sha256"));
    }
  }
}
