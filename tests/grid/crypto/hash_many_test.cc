// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/hash_many.h"

#include <catch2/catch.hpp>
#include <random>

#include "grid/caps/tags.h"
#include "grid/crypto/random.h"

using namespace lafs;
using namespace lafs::grid;

namespace {

// Digests of messages of these lengths, each under one of a few tags, are OpenSSL's.
void check_lengths(const std::vector<std::size_t>& lengths) {
  static const std::string long_tag(100, 't');
  const std::string_view all_tags[] = {tags::block, tags::ciphertext_segment, "x", long_tag};
  std::size_t longest = 0;
  for (auto length : lengths) longest = std::max(longest, length);
  const Bytes data = random_bytes(longest + lengths.size());
  std::vector<Hash32> out(lengths.size());
  std::vector<HashJob> jobs;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    jobs.push_back({all_tags[i % 4], ByteView(data).subspan(i, lengths[i]), &out[i]});
  }
  hash_many(jobs);
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    INFO("message " << i << " of " << lengths[i] << " bytes");
    CHECK(out[i] == tagged_hash(all_tags[i % 4], ByteView(data).subspan(i, lengths[i])));
  }
}

}  // namespace

TEST_CASE("many hashes at once are the hashes one after the other, for every length") {
  std::vector<std::size_t> lengths;
  for (std::size_t i = 0; i <= 400; ++i) lengths.push_back(i);
  check_lengths(lengths);
}

TEST_CASE("any number of messages may be hashed at once") {
  for (std::size_t n = 0; n <= 40; ++n) check_lengths(std::vector<std::size_t>(n, 1000 + n));
}

TEST_CASE("messages of very different lengths share the lanes") {
  std::mt19937 rng(7);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::size_t> lengths(9 + rng() % 60);
    for (auto& length : lengths) length = rng() % (std::size_t{1} << (rng() % 18));
    check_lengths(lengths);
  }
}
