// SPDX-License-Identifier: Apache-2.0
#include "grid/erasure/codec.h"

#include <bit>
#include <catch2/catch.hpp>
#include <random>

#include "grid/crypto/hash.h"

using namespace lafs;
using namespace lafs::grid;

namespace {

using Blocks = std::vector<Bytes>;

// n blocks of `length` random bytes' code.
Blocks encoded(const Codec& codec, std::size_t length, std::uint32_t seed) {
  std::mt19937 rng(seed);
  Blocks blocks(codec.n(), Bytes(length, 0xee));
  std::vector<const std::uint8_t*> pieces;
  std::vector<std::uint8_t*> parity;
  for (unsigned i = 0; i < codec.n(); ++i) {
    if (i < codec.k()) {
      for (auto& b : blocks[i]) b = static_cast<std::uint8_t>(rng());
      pieces.push_back(blocks[i].data());
    } else {
      parity.push_back(blocks[i].data());
    }
  }
  codec.encode(pieces, parity, length);
  return blocks;
}

Result<Blocks> decoded(const Codec& codec, const std::vector<unsigned>& numbers,
                       const Blocks& blocks) {
  const std::size_t length = blocks[0].size();
  std::vector<const std::uint8_t*> given;
  for (const unsigned number : numbers)
    given.push_back(blocks[number < blocks.size() ? number : 0].data());
  Blocks out(codec.k(), Bytes(length, 0xdd));
  std::vector<std::uint8_t*> pieces;
  for (auto& piece : out) pieces.push_back(piece.data());
  TRY_DO(codec.decode(numbers, given, pieces, length));
  return out;
}

Blocks first_k(const Codec& codec, const Blocks& blocks) {
  return Blocks(blocks.begin(), blocks.begin() + static_cast<long>(codec.k()));
}

}  // namespace

TEST_CASE("the matrix has the specification's rows and digests") {
  const auto codec = *Codec::make(3, 10);
  CHECK(to_hex(ByteView(codec->matrix()).subspan(0, 9)) == "010000000100000001");
  CHECK(to_hex(ByteView(codec->matrix()).subspan(9)) ==
        "0f08062d301c99e0780be7ed893bb346f1b6bad962");
  CHECK(to_hex(ByteView((*Codec::make(2, 5))->matrix()).subspan(4)) == "030205040908");
  const std::tuple<unsigned, unsigned, std::string_view> digests[] = {
      {2, 3, "861898c4a08aca36b7d931dbff3f83d7b2d6e20f0596719fee14858ddf3464cf"},
      {3, 10, "b91b6a7006cbd4b3f9f28de73579727b63990e072930a7c03947e447dda01070"},
      {25, 100, "8cd760ac640be2a06c9df4648efbafd8935d5b6527a56c40a29930025c82aecd"},
      {71, 255, "5a46a1f793d1d658a54a6cfbafd7ee61dc3e456e8702e3068bd37981dd038eb2"},
      {101, 256, "7afbf8ff7b2e633222f5fe9dca827c980cc6cf796660d8730723776317fc3c88"},
      {256, 256, "2e5eaaf60666da7c60caf6afa37af3146063bd72f815eeb97d0db7816c5b5d19"},
  };
  for (const auto& [k, n, digest] : digests)
    CHECK(to_hex(sha256((*Codec::make(k, n))->matrix())) == digest);
}

TEST_CASE("the specification's encoding example") {
  const auto codec = *Codec::make(3, 10);
  const Bytes pieces[] = {{0x01, 0x10}, {0x02, 0x20}, {0x03, 0x30}};
  std::vector<const std::uint8_t*> in;
  for (const auto& piece : pieces) in.push_back(piece.data());
  Blocks parity(7, Bytes(2));
  std::vector<std::uint8_t*> out;
  for (auto& block : parity) out.push_back(block.data());
  codec->encode(in, out, 2);
  std::string all;
  for (const auto& block : parity) all += to_hex(block);
  CHECK(all == "154d69decc5cf29b37577eb3b3ff");
}

TEST_CASE("every choice of k blocks gives the pieces back, in any order") {
  std::mt19937 rng(2);
  for (unsigned n = 1; n <= 9; ++n) {
    for (unsigned k = 1; k <= n; ++k) {
      const auto codec = *Codec::make(k, n);
      const auto blocks = encoded(*codec, 1 + (n * 31 + k * 7) % 100, n * 100 + k);
      const auto pieces = first_k(*codec, blocks);
      for (unsigned choice = 0; choice < 1u << n; ++choice) {
        if (std::popcount(choice) != static_cast<int>(k)) continue;
        std::vector<unsigned> numbers;
        for (unsigned i = 0; i < n; ++i)
          if (choice >> i & 1) numbers.push_back(i);
        std::ranges::shuffle(numbers, rng);
        if (decoded(*codec, numbers, blocks) != pieces) {
          FAIL("k " << k << ", n " << n << ", blocks " << choice);
        }
      }
    }
  }
}

TEST_CASE("random choices out of many blocks, of many lengths, give the pieces back") {
  std::mt19937 rng(3);
  const std::pair<unsigned, unsigned> shapes[] = {{3, 10},    {5, 8},     {16, 64}, {25, 100},
                                                  {71, 255},  {101, 256}, {1, 256}, {255, 256},
                                                  {256, 256}, {128, 256}};
  for (const auto& [k, n] : shapes) {
    const auto codec = *Codec::make(k, n);
    for (const std::size_t length : {0, 1, 17, 63, 64, 65, 333, 4097}) {
      const auto blocks = encoded(*codec, length, k + n);
      std::vector<unsigned> numbers(n);
      for (unsigned i = 0; i < n; ++i) numbers[i] = i;
      std::ranges::shuffle(numbers, rng);
      numbers.resize(k);
      INFO(k << " of " << n << ", length " << length);
      CHECK((decoded(*codec, numbers, blocks) == first_k(*codec, blocks)));
    }
  }
}

TEST_CASE("only the wanted pieces are written") {
  const auto codec = *Codec::make(4, 9);
  const auto blocks = encoded(*codec, 50, 1);
  const std::vector<unsigned> numbers = {8, 1, 6, 5};
  std::vector<const std::uint8_t*> given;
  for (const unsigned number : numbers) given.push_back(blocks[number].data());
  for (unsigned wanted = 0; wanted < 4; ++wanted) {
    Bytes out(50);
    std::vector<std::uint8_t*> pieces(4, nullptr);
    pieces[wanted] = out.data();
    REQUIRE(codec->decode(numbers, given, pieces, 50));
    CHECK(out == blocks[wanted]);
  }
}

TEST_CASE("duplicate, missing and impossible block numbers are refused") {
  const auto codec = *Codec::make(3, 5);
  const auto blocks = encoded(*codec, 20, 1);
  for (const std::vector<unsigned>& bad : std::vector<std::vector<unsigned>>{{},
                                                                             {0, 1},
                                                                             {0, 1, 2, 3},
                                                                             {0, 0, 1},
                                                                             {3, 4, 3},
                                                                             {0, 1, 5},
                                                                             {0, 1, 255},
                                                                             {0, 1, 256},
                                                                             {0, 1, ~0u}}) {
    INFO(bad.size());
    std::vector<const std::uint8_t*> given(bad.size(), blocks[0].data());
    Blocks out(3, Bytes(20));
    std::vector<std::uint8_t*> pieces = {out[0].data(), out[1].data(), out[2].data()};
    const auto result = codec->decode(bad, given, pieces, 20);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::bad_argument);
  }
}

TEST_CASE("impossible codes are refused and possible ones shared") {
  for (const auto& [k, n] :
       {std::pair{0u, 0u}, {0u, 1u}, {2u, 1u}, {1u, 257u}, {257u, 257u}, {~0u, ~0u}})
    CHECK(Codec::make(k, n).error().code == Errc::bad_argument);
  CHECK(*Codec::make(3, 10) == *Codec::make(3, 10));
  // More of them than are kept.
  for (unsigned n = 3; n < 40; ++n) CHECK((*Codec::make(3, n))->n() == n);
  CHECK((*Codec::make(3, 10))->n() == 10);
}
