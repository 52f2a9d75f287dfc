// SPDX-License-Identifier: Apache-2.0
// Known answers of Tahoe nodes for mutable files: keys, shares, successive versions.

#include <catch2/catch.hpp>

#include "grid/caps/keys.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/mutable/encoding.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::test;

namespace {

const json::value& vectors() {
  static const json::value all = load_vectors("mutable.json");
  return all;
}

FileKeys keys_of(const json::value& file) {
  const auto& key = group(vectors(), "keys").at(number(file, "key"));
  auto parsed = RsaPrivateKey::from_pkcs8(b64(key, "private_key_pkcs8_b64"));
  REQUIRE(parsed);
  return FileKeys(*parsed);
}

std::string sha(ByteView bytes) { return to_hex(sha256(bytes)); }

std::vector<Salt> salts_of(const json::value& version) {
  std::vector<Salt> out;
  for (const auto& salt : at(version, "salts_hex").as_array()) out.push_back(hex_array<16>(salt));
  return out;
}

void check_header(const ShareHeader& header, const json::value& expected) {
  CHECK(header.format() ==
        (number(expected, "version") == 0 ? MutableFormat::sdmf : MutableFormat::mdmf));
  CHECK(header.id().seqnum == number(expected, "seqnum"));
  CHECK(to_hex(header.id().root_hash) == text(expected, "root_hash_hex"));
  CHECK(header.geometry().k == number(expected, "k"));
  CHECK(header.geometry().n == number(expected, "n"));
  CHECK(header.geometry().segment_size == number(expected, "segment_size"));
  CHECK(header.geometry().data_length == number(expected, "data_length"));
  const auto& o = at(expected, "offsets");
  const auto& ours = header.offsets();
  CHECK(ours.signature == number(o, "signature"));
  CHECK(ours.share_hash_chain == number(o, "share_hash_chain"));
  CHECK(ours.block_hash_tree == number(o, "block_hash_tree"));
  CHECK(ours.share_data == number(o, "share_data"));
  CHECK(ours.private_key == number(o, "enc_privkey"));
  CHECK(ours.end == number(o, "eof"));
  if (header.format() == MutableFormat::mdmf) {
    CHECK(ours.public_key == number(o, "verification_key"));
    CHECK(ours.public_key_end == number(o, "verification_key_end"));
  } else {
    CHECK(to_hex(header.iv()) == text(expected, "salt_hex"));
  }
}

// Encodes as the vector was, with its salts, and its signature where the bytes are recorded.
void check_encoding(const json::value& version, const FileKeys& keys, ByteView plaintext) {
  const auto& header = at(version, "header");
  NewVersion v;
  v.format = number(header, "version") == 0 ? MutableFormat::sdmf : MutableFormat::mdmf;
  v.seqnum = number(header, "seqnum");
  v.k = number(header, "k");
  v.n = number(header, "n");
  v.segment_size = number(header, "segment_size");
  v.salts = salts_of(version);
  auto encoder = VersionEncoder::make(v, keys, plaintext);
  REQUIRE(encoder);
  check_header(encoder->header(), header);
  const auto& shares = group(version, "shares");
  const auto end = encoder->header().offsets().end;
  if (!has(shares[0], "data_b64")) {
    CHECK(number(shares[0], "length") >= end);
    return;
  }
  const auto first = b64(shares[0], "data_b64");
  const auto made =
      encoder->finish(ByteView(first).subspan(encoder->header().offsets().signature, 256));
  for (const auto& share : shares) {
    const auto expected = b64(share, "data_b64");
    CHECK(sha(expected) == text(share, "sha256"));
    CHECK(equal(made.at(number(share, "share")), ByteView(expected).first(end)));
  }
}

// Judges every recorded share by itself and decodes several sets of k.
void check_decoding(const json::value& version, const FileKeys& keys,
                    const std::string& plaintext_sha256) {
  const auto& all = group(version, "shares");
  if (!has(all[0], "data_b64")) return;
  std::vector<Bytes> bytes;
  std::vector<NumberedShare> shares;
  SignatureCheck signatures(keys.fingerprint);
  std::optional<ShareHeader> header;
  for (const auto& share : all) bytes.push_back(b64(share, "data_b64"));
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto parsed = ShareHeader::parse(bytes[i]);
    REQUIRE(parsed);
    CHECK(signatures.check(*parsed, bytes[i]));
    const ShareNo number_of{number(all[i], "share")};
    CHECK(check_body(*parsed, bytes[i], number_of));
    if (parsed->geometry().data_length > 0 && parsed->geometry().k > 1) {
      CHECK_FALSE(check_body(*parsed, bytes[i], ShareNo{number_of.value ^ 1}));
    }
    const auto encrypted = private_key_in(*parsed, bytes[i]);
    REQUIRE(encrypted);
    auto key = decrypt_private_key(*encrypted, keys.write_key);
    REQUIRE(key);
    CHECK(key->pkcs8() == keys.private_key.pkcs8());
    header = *parsed;
    shares.push_back({number_of, bytes[i]});
  }
  check_header(*header, at(version, "header"));
  const auto k = header->geometry().k;
  for (std::size_t first = 0; first + k <= shares.size(); ++first) {
    const auto some = std::span(shares).subspan(first, k);
    const auto plaintext = decode_version(*header, some, keys.read_key);
    REQUIRE(plaintext);
    CHECK(sha(*plaintext) == plaintext_sha256);
  }
}

}  // namespace

TEST_CASE("keys, secrets and caps are derived as Tahoe derives them") {
  for (const auto& v : group(vectors(), "keys")) {
    const auto der = b64(v, "private_key_pkcs8_b64");
    auto parsed = RsaPrivateKey::from_pkcs8(der);
    REQUIRE(parsed);
    CHECK(parsed->pkcs8() == der);
    const FileKeys keys(*parsed);
    CHECK(keys.public_key == b64(v, "public_key_spki_b64"));
    CHECK(to_hex(keys.write_key.view()) == text(v, "write_key_hex"));
    CHECK(to_hex(keys.read_key.view()) == text(v, "read_key_hex"));
    const auto si = mutable_storage_index_of(keys.read_key);
    CHECK(to_hex(si.bytes) == text(v, "storage_index_hex"));
    CHECK(si.text() == text(v, "storage_index"));
    CHECK(to_hex(keys.fingerprint) == text(v, "fingerprint_hex"));
    CHECK(sha(keys.encrypted_private_key) == text(v, "encrypted_private_key_sha256"));
    CHECK(to_hex(ByteView(keys.encrypted_private_key).first(16)) ==
          text(v, "encrypted_private_key_first16_hex"));
    LeaseSeed seed{};
    seed.fill(7);
    CHECK(equal(
        write_enabler(keys.write_key, seed).view(),
        tagged_pair_hash("allmydata_mutable_write_enabler_master_and_nodeid_to_write_enabler_v1",
                         hex(v, "write_enabler_master_hex"), seed)));
    const std::tuple<const char*, MutableFormat, bool> kinds[] = {
        {"sdmf", MutableFormat::sdmf, false},
        {"mdmf", MutableFormat::mdmf, false},
        {"sdmf_directory", MutableFormat::sdmf, true},
        {"mdmf_directory", MutableFormat::mdmf, true}};
    for (const auto& [name, format, directory] : kinds) {
      const Cap cap(MutableWriteCap{format, keys.write_key, keys.fingerprint}, directory);
      CHECK(cap.text() == text(at(v, name), "write_cap"));
      CHECK(cap.read_only()->text() == text(at(v, name), "read_cap"));
      CHECK(cap.verifier()->text() == text(at(v, name), "verify_cap"));
    }
    auto public_key = RsaPublicKey::from_spki(keys.public_key);
    REQUIRE(public_key);
    for (const auto& s : group(v, "signatures")) {
      CHECK(public_key->verify(hex(s, "message_hex"), hex(s, "signature_hex")));
    }
  }
}

TEST_CASE("files are encoded byte for byte as Tahoe encodes them, and read back") {
  for (const auto& file : group(vectors(), "files")) {
    INFO(text(file, "name"));
    const auto keys = keys_of(file);
    const auto contents = plaintext(at(file, "plaintext"));
    REQUIRE(sha(contents) == text(file, "plaintext_sha256"));
    check_encoding(file, keys, contents);
    check_decoding(file, keys, text(file, "plaintext_sha256"));
    // What we sign ourselves passes our own judgement, large files included.
    NewVersion v;
    v.format = text(file, "format") == "SDMF" ? MutableFormat::sdmf : MutableFormat::mdmf;
    v.k = number(file, "k");
    v.n = number(file, "n");
    const auto made = encode_version(v, keys, contents);
    REQUIRE(made);
    SignatureCheck signatures(keys.fingerprint);
    std::vector<NumberedShare> last;
    for (std::uint64_t i = v.n - v.k; i < v.n; ++i) {
      CHECK(ShareHeader::parse(made->shares[i]) == made->header);
      CHECK(signatures.check(made->header, made->shares[i]));
      CHECK(check_body(made->header, made->shares[i], ShareNo{i}));
      last.push_back({ShareNo{i}, made->shares[i]});
    }
    CHECK(decode_version(made->header, last, keys.read_key) == contents);
  }
}

TEST_CASE("every version of a file's history is read, whatever stale bytes are behind it") {
  std::size_t steps = 0;
  for (const auto& file : group(vectors(), "histories")) {
    INFO(text(file, "name"));
    const auto keys = keys_of(file);
    Bytes contents;
    for (const auto& step : group(file, "steps")) {
      INFO("seqnum " << number(step, "seqnum"));
      const auto data = plaintext(at(step, "data"));
      if (text(step, "operation") == "update in place") {
        const auto offset = number(step, "offset");
        contents.resize(std::max<std::size_t>(contents.size(), offset + data.size()));
        std::copy(data.begin(), data.end(), contents.begin() + static_cast<long>(offset));
      } else {
        contents = data;
      }
      REQUIRE(sha(contents) == text(step, "plaintext_sha256"));
      // An update in place keeps the salts of the segments it does not touch.
      const auto segments =
          number(at(step, "header"), "version") == 0
              ? 1
              : ceil_div(contents.size(), number(at(step, "header"), "segment_size"));
      if (salts_of(step).size() >= segments) check_encoding(step, keys, contents);
      check_decoding(step, keys, text(step, "plaintext_sha256"));
      ++steps;
    }
  }
  CHECK(steps > 10);
}
