// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <functional>
#include <map>

#include "grid/caps/keys.h"
#include "grid/caps/tags.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::test;

namespace {

const json::value& vectors() {
  static const json::value loaded = load_vectors("primitives.json");
  return loaded;
}

Key16 key16(const json::value& o, std::string_view name) { return Key16(hex_array<16>(o, name)); }
Key16 key16(const Bytes& bytes) { return Key16::from(bytes).value(); }
StorageIndex index_of(const json::value& o, std::string_view name) {
  return StorageIndex{hex_array<16>(o, name)};
}

template <std::size_t N>
Bytes bytes_of(const std::array<std::uint8_t, N>& a) {
  return Bytes(a.begin(), a.end());
}
template <std::size_t N>
Bytes bytes_of(const Secret<N>& s) {
  return to_bytes(s.view());
}
Bytes bytes_of(const StorageIndex& si) { return bytes_of(si.bytes); }

using Arguments = std::vector<Bytes>;
using NamedHash = std::function<Bytes(const Arguments&)>;

NamedHash single(tags::Tag tag) {
  return [tag](const Arguments& a) { return bytes_of(tagged_hash(tag, a.at(0))); };
}
NamedHash pair_of(tags::Tag tag) {
  return [tag](const Arguments& a) { return bytes_of(tagged_pair_hash(tag, a.at(0), a.at(1))); };
}
// Here the fixed text is what is hashed, under the secret.
NamedHash value_of(tags::Tag text) {
  return [text](const Arguments& a) {
    return bytes_of(tagged_hash(ByteView(a.at(0)), as_bytes(text)));
  };
}

// Our function for each of the names in the vectors.
const std::map<std::string, NamedHash> kNamedHashes = {
    {"storage_index_hash", [](auto& a) { return bytes_of(storage_index_of(key16(a.at(0)))); }},
    {"block_hash", single(tags::block)},
    {"uri_extension_hash", single(tags::ueb)},
    {"plaintext_hash", single(tags::plaintext)},
    {"plaintext_segment_hash", single(tags::plaintext_segment)},
    {"crypttext_hash", single(tags::ciphertext)},
    {"crypttext_segment_hash", single(tags::ciphertext_segment)},
    {"my_renewal_secret_hash", value_of(tags::client_renewal)},
    {"my_cancel_secret_hash", value_of(tags::client_cancel)},
    {"file_renewal_secret_hash", pair_of(tags::file_renewal)},
    {"file_cancel_secret_hash", pair_of(tags::file_cancel)},
    {"bucket_renewal_secret_hash", pair_of(tags::bucket_renewal)},
    {"bucket_cancel_secret_hash", pair_of(tags::bucket_cancel)},
    {"mutable_rwcap_key_hash",
     [](auto& a) { return bytes_of(child_key(a.at(0), key16(a.at(1)))); }},
    {"mutable_rwcap_salt_hash", [](auto& a) { return bytes_of(child_salt(as_text(a.at(0)))); }},
    {"ssk_writekey_hash", [](auto& a) { return bytes_of(write_key_of(a.at(0))); }},
    {"ssk_write_enabler_master_hash", single(tags::write_enabler_master)},
    {"ssk_write_enabler_hash",
     [](auto& a) {
       LeaseSeed seed;
       std::copy_n(a.at(1).begin(), seed.size(), seed.begin());
       return bytes_of(write_enabler(key16(a.at(0)), seed));
     }},
    {"ssk_pubkey_fingerprint_hash", [](auto& a) { return bytes_of(fingerprint_of(a.at(0))); }},
    {"ssk_readkey_hash", [](auto& a) { return bytes_of(read_key_of(key16(a.at(0)))); }},
    {"ssk_readkey_data_hash", [](auto& a) { return bytes_of(data_key(a.at(0), key16(a.at(1)))); }},
    {"ssk_storage_index_hash",
     [](auto& a) { return bytes_of(mutable_storage_index_of(key16(a.at(0)))); }},
    {"backupdb_dirhash", single(tags::backup_directory)},
    {"permute_server_hash", [](auto& a) { return bytes_of(sha1(a.at(0), a.at(1))); }},
    {"hmac", [](auto& a) { return bytes_of(child_mac(key16(a.at(0)), a.at(1))); }},
};

}  // namespace

TEST_CASE("every purpose-specific hash has Tahoe's value") {
  for (const auto& c : group(vectors(), "named_hashes")) {
    const std::string name = text(c, "name");
    INFO(name);
    REQUIRE(kNamedHashes.contains(name));
    Arguments arguments;
    for (const auto& argument : group(c, "args_hex")) arguments.push_back(hex(argument));
    CHECK(kNamedHashes.at(name)(arguments) == hex(c, "result_hex"));
  }
}

TEST_CASE("convergent keys are Tahoe's, however the plaintext is cut up") {
  for (const auto& c : group(vectors(), "convergence")) {
    const Bytes secret = hex(c, "secret_hex");
    const Bytes plain = plaintext(at(c, "plaintext"));
    for (const std::size_t step : {plain.size() + 1, std::size_t{1000}}) {
      auto hasher =
          ConvergentKey::start(secret, number(c, "k"), number(c, "n"), number(c, "segment_size"));
      REQUIRE(hasher);
      for (std::size_t i = 0; i < plain.size(); i += step)
        hasher->update(ByteView(plain).subspan(i, std::min(step, plain.size() - i)));
      CHECK(bytes_of(hasher->finish()) == hex(c, "key_hex"));
    }
    CHECK(bytes_of(truncate<16>(tagged_hash(ByteView(hex(c, "tag_hex")), plain))) ==
          hex(c, "key_hex"));
  }
}

TEST_CASE("impossible encodings have no convergent key") {
  for (const auto& c : group(vectors(), "convergence_refused"))
    CHECK(ConvergentKey::start({}, number(c, "k"), number(c, "n"), 1).has_value() ==
          flag(c, "accepted"));
}

TEST_CASE("storage indexes of immutable files are Tahoe's") {
  for (const auto& c : group(vectors(), "storage_index")) {
    const StorageIndex si = storage_index_of(key16(c, "key_hex"));
    CHECK(si == index_of(c, "storage_index_hex"));
    CHECK(si.text() == text(c, "text"));
    CHECK(StorageIndex::from_text(text(c, "text")) == si);
  }
}

TEST_CASE("lease secrets are Tahoe's") {
  for (const auto& c : group(vectors(), "lease_secrets")) {
    const auto master = Secret32::from(hex(c, "master_secret_hex")).value();
    CHECK(bytes_of(master) == from_base32_lax(text(c, "master_secret_text")));
    const auto seed = hex_array<20>(c, "tub_id_hex");
    CHECK(array_from_base32<20>(text(c, "tub_id_text")) == seed);
    const auto secrets = lease_secrets(master, index_of(c, "storage_index_hex"), seed);
    CHECK(bytes_of(secrets.renew) == hex(c, "bucket_renewal_hex"));
    CHECK(bytes_of(secrets.cancel) == hex(c, "bucket_cancel_hex"));
  }
}

TEST_CASE("keys of mutable files and their write enablers are Tahoe's") {
  for (const auto& c : group(vectors(), "write_enabler")) {
    const Key16 write_key = key16(c, "write_key_hex");
    const Key16 read_key = read_key_of(write_key);
    CHECK(read_key == key16(c, "read_key_hex"));
    CHECK(mutable_storage_index_of(read_key) == index_of(c, "storage_index_hex"));
    CHECK(bytes_of(write_enabler(write_key, hex_array<20>(c, "tub_id_hex"))) ==
          hex(c, "write_enabler_hex"));
    CHECK(bytes_of(data_key(hex(c, "salt_hex"), read_key)) == hex(c, "data_key_hex"));
  }
}

TEST_CASE("servers come in Tahoe's permuted order") {
  const auto& all = at(vectors(), "server_order");
  for (const auto& c : group(all, "orders")) {
    const Bytes si = hex(c, "storage_index_hex");
    std::map<Hash20, std::string> by_rank;
    for (const auto& server : group(all, "servers"))
      by_rank[sha1(si, hex(server, "permutation_seed_hex"))] = text(server, "name");
    const auto& order = group(c, "order");
    const auto& ranks = group(c, "ranks_hex");
    REQUIRE(by_rank.size() == order.size());
    std::size_t i = 0;
    for (const auto& [rank, name] : by_rank) {
      CHECK(name == text(order[i]));
      CHECK(rank == hex_array<20>(ranks[i]));
      ++i;
    }
  }
}

TEST_CASE("the MAC of directory entries is Tahoe's") {
  for (const auto& c : group(vectors(), "capkey_mac"))
    CHECK(child_mac(key16(c, "key_hex"), hex(c, "data_hex")) == hex_array<32>(c, "mac_hex"));
}
