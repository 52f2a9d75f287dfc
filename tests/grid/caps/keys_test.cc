// SPDX-License-Identifier: Apache-2.0
#include "grid/caps/keys.h"

#include <catch2/catch.hpp>
#include <numeric>

using namespace lafs;
using namespace lafs::grid;

namespace {

// Bytes 0, 1, 2, ...
template <std::size_t N>
std::array<std::uint8_t, N> counting() {
  std::array<std::uint8_t, N> out;
  std::iota(out.begin(), out.end(), std::uint8_t{0});
  return out;
}

Key16 convergent(ByteView secret, std::uint64_t segment_size) {
  auto key = ConvergentKey::start(secret, 3, 10, segment_size);
  key->update(as_bytes(std::string(56, 'a')));
  return key->finish();
}

}  // namespace

TEST_CASE("the specification's convergent keys") {
  CHECK(to_hex(convergent(as_bytes(std::string(16, 'a')), 57).view()) ==
        "380ff65ec57c08c67d0219f67b481d28");
  CHECK(to_hex(convergent({}, 57).view()) == "7f302234501f9afce42753be3a1d46bc");
  CHECK_FALSE(convergent({}, 57) == convergent({}, 60));
}

TEST_CASE("the specification's storage indexes") {
  CHECK(storage_index_of(Key16(counting<16>())).text() == "hdis5iaveku6lnlaiccydyid7q");
  CHECK(storage_index_of(Key16()).text() == "2k6avpjga3dho3zsjo6nnkt7n4");
}

TEST_CASE("the specification's lease secrets") {
  const auto secrets =
      lease_secrets(Secret32(counting<32>()), StorageIndex{counting<16>()}, counting<20>());
  CHECK(to_hex(secrets.renew.view()) ==
        "e1bc90e26a7a1ae37aa0ccff271cf0f3182936b650d1f2aec44cbd3bb65f5776");
  CHECK(to_hex(secrets.cancel.view()) ==
        "492399e026ee2c63887b412c8b254e2e56c4f5f0a2c3fe3112e2d0ab20f95097");
}

TEST_CASE("the published lease vector") {
  const auto master = from_base32_lax("boity2cdh7jvl3ltaeebuiobbspjmbuopnwbde2yeh4k6x7jioga");
  const auto si = StorageIndex::from_text("vrttmwlicrzbt7gh5qsooogr7u");
  const auto seed = array_from_base32<20>("v67jiisoty6ooyxlql5fuucitqiok2ic");
  REQUIRE((master && si && seed));
  CHECK(base32(lease_secrets(*Secret32::from(*master), *si, *seed).renew.view()) ==
        "osd6wmc5vz4g3ukg64sitmzlfiaaordutrez7oxdp5kkze7zp5zq");
}

TEST_CASE("the specification's keys of a mutable file") {
  const Key16 write_key(counting<16>());
  const Key16 read_key = read_key_of(write_key);
  CHECK(to_hex(read_key.view()) == "cadaf6f34ba7ee41b9b4bf76a8f34793");
  CHECK(mutable_storage_index_of(read_key).text() == "axmc3zjy3mkanylpyx7u2zuqum");
  CHECK(to_hex(write_enabler(write_key, counting<20>()).view()) ==
        "9c73634fb14767143bf6592de0ed0d74b96d4a255794b02995fdc2a1b0a48609");
  CHECK(to_hex(data_key(Bytes(16, 0xa0), read_key).view()) == "15cdabf38e2dc42f7dd845fc13a74fe8");
}

TEST_CASE("the MAC of a directory entry is not the standard HMAC") {
  CHECK(to_hex(child_mac(Key16(counting<16>()), as_bytes("abc"))) ==
        "c197f509121ad3acf1b1f12d8f81a165388f53085cfcf4ca94297b1dbaaa945a");
}

TEST_CASE("a storage index is read only from its 26 characters") {
  CHECK(StorageIndex::from_text("hdis5iaveku6lnlaiccydyid7q"));
  for (const auto* bad :
       {"", "hdis5iaveku6lnlaiccydyid7", "hdis5iaveku6lnlaiccydyid7qa",
        "hdis5iaveku6lnlaiccydyid7r", "HDIS5IAVEKU6LNLAICCYDYID7Q", "../../../../../../../etc/p"})
    CHECK_FALSE(StorageIndex::from_text(bad));
}
