// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/ed25519.h"
#include "grid/crypto/hash.h"
#include "grid/crypto/random.h"

using namespace lafs;
using namespace lafs::grid;

namespace {

Bytes pattern(std::size_t n) {
  Bytes out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  return out;
}

Bytes bytes_of(const char* hex_text) { return *from_hex(hex_text); }

const Key16 kCountingKey = *Key16::from(bytes_of("000102030405060708090a0b0c0d0e0f"));

}  // namespace

TEST_CASE("the plain hashes have their published values") {
  CHECK(to_hex(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(sha256(as_bytes("abc"))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(to_hex(sha1(as_bytes("abc"))) == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(sha1(as_bytes("a"), as_bytes("bc")) == sha1(as_bytes("abc")));
  CHECK(to_hex(blake2b_256(as_bytes("abc"))) ==
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  CHECK(sha256d(as_bytes("abc")) == sha256(sha256(as_bytes("abc"))));
}

TEST_CASE("tagged hashes have the specification's values") {
  const std::string_view expected =
      "64b0cafcfe5f99653ae63b644191c890600965073ef48bf9b24f9e623c940229";
  CHECK(to_hex(tagged_hash("tag", as_bytes("value"))) == expected);
  CHECK(to_hex(truncate<16>(tagged_hash("tag", as_bytes("value")))) == expected.substr(0, 32));
  CHECK(to_hex(tagged_pair_hash("tag", as_bytes("a"), as_bytes("b"))) ==
        "e003cf467d5cbcdf2eedb7369cd332e96f4405959a932f35200b862b2dc0a593");
}

TEST_CASE("a hasher starts afresh after each message, and after it was moved") {
  const Bytes data = pattern(1000);
  Sha256 first;
  first.update(as_bytes("begun elsewhere"));
  Sha256 hasher = std::move(first);
  (void)hasher.finish();
  hasher.update(ByteView(data).first(333));
  hasher.update({});
  hasher.update(ByteView(data).subspan(333));
  CHECK(hasher.finish() == sha256(data));
  CHECK(hasher.finish() == sha256({}));

  TaggedHasher tagged("tag");
  (void)tagged.hash(data);
  TaggedHasher moved = std::move(tagged);
  CHECK(moved.hash(as_bytes("value")) == tagged_hash("tag", as_bytes("value")));
  tagged = TaggedHasher("other");
  CHECK(tagged.hash(data) == tagged_hash("other", data));
}

TEST_CASE("AES-CTR gives the specification's keystream") {
  CHECK(to_hex(aes_ctr(kCountingKey, Bytes(48))) ==
        "c6a13b37878f5b826f4f8162a1c8d8797346139595c0b41e497bbde365f42d0a"
        "49d68753999ba68ce3897a686081b09d");
}

TEST_CASE("AES-CTR from any offset continues the one stream") {
  const Bytes plain = pattern(200);
  const Bytes whole = aes_ctr(kCountingKey, plain);
  for (std::size_t begin = 0; begin <= plain.size(); ++begin) {
    Bytes part(plain.size() - begin);
    AesCtr(kCountingKey, begin).process(ByteView(plain).subspan(begin), part);
    CHECK(equal(part, ByteView(whole).subspan(begin)));
  }
}

TEST_CASE("AES-CTR in pieces, in place and after seeking back is the same stream") {
  const Bytes plain = pattern(5000);
  const Bytes whole = aes_ctr(kCountingKey, plain);
  std::mt19937 rng(1);
  AesCtr cipher(kCountingKey);
  for (int round = 0; round < 3; ++round) {
    Bytes copy = plain;
    cipher.seek(0);
    for (std::size_t done = 0; done < copy.size();) {
      const std::size_t step = std::min<std::size_t>(rng() % 70, copy.size() - done);
      cipher.process(MutableBytes(copy).subspan(done, step));
      done += step;
    }
    CHECK(copy == whole);
  }
  AesCtr moved = std::move(cipher);
  moved.seek(17);
  Bytes one(plain.begin() + 17, plain.begin() + 18);
  moved.process(one);
  CHECK(one.front() == whole[17]);
}

TEST_CASE("AES-CTR counts beyond 32 and 36 bits of offset") {
  // Two neighbouring offsets that differ in a carry must agree on the bytes they share.
  for (const std::uint64_t offset : {(1ULL << 36) - 16, (1ULL << 40) - 16, (1ULL << 60) - 16}) {
    Bytes wide(48);
    AesCtr(kCountingKey, offset).process(wide);
    Bytes later(32);
    AesCtr(kCountingKey, offset + 16).process(later);
    CHECK(equal(later, ByteView(wide).subspan(16)));
    CHECK(std::set<Bytes>{Bytes(wide.begin(), wide.begin() + 16),
                          Bytes(wide.begin() + 16, wide.begin() + 32),
                          Bytes(wide.begin() + 32, wide.end())}
              .size() == 3);
  }
}

TEST_CASE("random bytes differ from call to call") {
  std::set<Bytes> seen;
  for (int i = 0; i < 100; ++i) CHECK(seen.insert(random_bytes(16)).second);
  CHECK(random_bytes(0).empty());
  CHECK(random_array<8>() != random_array<8>());
  CHECK_FALSE(random_secret<32>() == random_secret<32>());
}

TEST_CASE("a secret is made only from exactly its number of bytes") {
  CHECK(Key16::from(Bytes(16)).has_value());
  CHECK_FALSE(Key16::from(Bytes(15)).has_value());
  CHECK_FALSE(Key16::from(Bytes(17)).has_value());
  CHECK(equal_secret(as_bytes("same"), as_bytes("same")));
  CHECK_FALSE(equal_secret(as_bytes("same"), as_bytes("Same")));
  CHECK_FALSE(equal_secret(as_bytes("same"), as_bytes("sam")));
}

TEST_CASE("Ed25519 gives the signatures of RFC 8032") {
  const auto seed =
      *Secret32::from(bytes_of("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"));
  const Bytes message = bytes_of("af82");
  const auto key = ed25519_public(seed);
  CHECK(to_hex(key) == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
  const auto signature = ed25519_sign(seed, message);
  CHECK(to_hex(signature) ==
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a");
  CHECK(ed25519_verify(key, message, signature));
}

TEST_CASE("Ed25519 refuses what was not signed") {
  const auto seed = random_secret<32>();
  const auto key = ed25519_public(seed);
  const Bytes message = pattern(100);
  const auto good = ed25519_sign(seed, message);
  CHECK(ed25519_verify(key, message, good));
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= 1;
    CHECK_FALSE(ed25519_verify(key, message, bad));
  }
  CHECK_FALSE(ed25519_verify(key, pattern(99), good));
  CHECK_FALSE(ed25519_verify(ed25519_public(random_secret<32>()), message, good));
  CHECK_FALSE(ed25519_verify(key, message, ByteView(good).first(63)));
  CHECK_FALSE(ed25519_verify(key, message, {}));
  CHECK_FALSE(ed25519_verify(Ed25519Public{}, message, good));
}
