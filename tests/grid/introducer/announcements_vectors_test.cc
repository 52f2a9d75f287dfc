// SPDX-License-Identifier: Apache-2.0

// discovery.json: keys, announcements, their order, caches and grid manager certificates as a Tahoe
// node makes and judges them.

#include <catch2/catch.hpp>

#include "grid/introducer/book.h"
#include "grid/introducer/certificates.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::introducer;
using namespace lafs::test;

namespace {
const json::value& vectors() {
  static const auto all = load_vectors("discovery.json");
  return all;
}
}  // namespace

TEST_CASE("keys and signatures have Tahoe's texts") {
  for (const auto& c : group(vectors(), "keys")) {
    const auto key = private_key_from_text(text(c, "private_text"));
    REQUIRE(key);
    CHECK(key_text(ed25519_public(*key)) == text(c, "server_id"));
    CHECK(public_key_from_text(text(c, "public_text")) == ed25519_public(*key));
    for (const auto& s : group(c, "signatures")) {
      CHECK(sign(to_text(hex(s, "message_hex")), *key).signature == text(s, "signature_text"));
    }
  }
}

TEST_CASE("announcements are accepted and read as Tahoe does") {
  for (const auto& c : group(vectors(), "announcements")) {
    INFO(text(c, "title"));
    SignedAnnouncement from;
    from.message = to_text(b64(c, "message_b64"));
    if (has(c, "signature")) from.signature = text(c, "signature");
    if (has(c, "key")) from.key = text(c, "key");
    const auto read = verify(from);
    CHECK(read.has_value() == flag(c, "accepted"));
    if (!read) continue;
    const auto& server = at(c, "server");
    CHECK(read->server_id == text(server, "server_id"));
    CHECK(read->nickname == text(server, "nickname"));
    CHECK(read->nurls.empty() == !has(server, "nurls"));
    if (has(server, "nurls")) {
      auto nurls = read->nurls;
      std::ranges::sort(nurls);
      const auto& wanted = group(server, "nurls");
      REQUIRE(nurls.size() == wanted.size());
      for (std::size_t i = 0; i < nurls.size(); ++i) CHECK(nurls[i] == text(wanted[i]));
    }
  }
}

TEST_CASE("of a server's announcements the one with the highest number is in force") {
  Book book;
  for (const auto& c : group(vectors(), "sequence_rules")) {
    INFO(text(c, "title"));
    SignedAnnouncement from{text(c, "message_text"), text(c, "signature"), text(c, "key")};
    auto read = verify(from);
    REQUIRE(read);
    const bool wanted = read->service == "storage";
    const bool fresh =
        wanted && book.add(std::move(*read), std::move(from)) == Book::Verdict::fresh;
    CHECK(fresh == flag(c, "stored_as_new"));
  }
  // What is in force then is what the cache file holds, with and without signatures.
  const auto& parsed = group(vectors(), "introducer_cache_parsed");
  for (const auto& yaml : {book.to_yaml(), text(vectors(), "introducer_cache_yaml")}) {
    const auto again = Book::from_yaml(yaml, "cache");
    REQUIRE(again);
    const auto entries = again->entries();
    REQUIRE(entries.size() == parsed.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto& wanted = at(parsed[i], "ann");
      CHECK(entries[i]->announcement.server_id == text(parsed[i], "key_s"));
      CHECK(entries[i]->announcement.furl == text(wanted, "anonymous-storage-FURL"));
      CHECK(entries[i]->announcement.number == static_cast<std::int64_t>(number(wanted, "seqnum")));
      CHECK(entries[i]->announcement.content == book.entries()[i]->announcement.content);
    }
  }
}

TEST_CASE("grid manager certificates permit uploads as Tahoe judges it") {
  const auto& all = vectors();
  const auto& manager = at(all, "grid_manager");
  const auto key = public_key_from_text(text(manager, "manager_public_text"));
  const auto other = public_key_from_text(text(manager, "other_manager_public_text"));
  REQUIRE(key);
  REQUIRE(other);
  const auto read = [](const json::value& c) {
    return GridCertificate{text(c, "certificate"), text(c, "signature")};
  };
  std::map<std::string, GridCertificate> named;
  const auto& certificates = group(manager, "certificates");
  named["alpha long"] = read(at(certificates[0], "certificate"));
  named["beta"] = read(at(certificates[1], "certificate"));
  named["alpha short"] = read(at(certificates[2], "certificate"));
  named["alpha long, altered"] = read(at(manager, "altered_certificate"));
  for (const auto& c : group(manager, "verifications")) {
    INFO(text(c, "title"));
    std::vector<Ed25519Public> managers;
    for (const auto& name : at(c, "configured_keys").as_array())
      managers.push_back(text(name) == "manager" ? *key : *other);
    std::vector<GridCertificate> shown;
    for (const auto& name : at(c, "certificates").as_array()) shown.push_back(named.at(text(name)));
    const auto now = parse_iso_time(text(c, "now"));
    REQUIRE(now);
    CHECK(upload_permission(text(c, "server_id"), shown, managers, *now).permitted ==
          flag(c, "upload_permitted"));
  }
  for (const auto& c : group(manager, "certificate_files")) {
    CHECK(parse_certificate_file(text(c, "text"), "file").has_value() == flag(c, "accepted"));
  }
}

TEST_CASE("times that are none are refused") {
  CHECK(parse_iso_time("2030-01-01T00:00:00Z") == parse_iso_time("2030-01-01T02:00:00+02:00"));
  CHECK(parse_iso_time("2030-01-01T00:00:00.5+00:00"));
  for (const auto* bad : {"", "2030", "2030-13-01T00:00:00Z", "2030-02-30T00:00:00Z",
                          "2030-01-01T24:00:00Z", "2030-01-01T00:00:00", "2030-01-01T00:00:00.Z",
                          "2030-01-01T00:00:00Zx", "2030-01-01T00:00:00+0"}) {
    INFO(bad);
    CHECK_FALSE(parse_iso_time(bad));
  }
}

TEST_CASE("what we announce reads back as what we meant") {
  OwnAnnouncement own;
  own.nickname = "caf\xc3\xa9";
  own.version = "lafs/1";
  own.furl = "pb://6argvizxnhetns73trx6k3fw3g3mgom6@tcp:127.0.0.1:4567/x";
  own.nurls = {"pb://b", "pb://a"};
  own.permutation_seed = "aaaa";
  own.number = 7;
  own.nonce = "n";
  const Secret32 key(std::array<std::uint8_t, 32>{1, 2, 3});
  auto signed_one = sign(announcement_message(own), key);
  const auto read = verify(signed_one);
  REQUIRE(read);
  CHECK(read->nickname == own.nickname);
  CHECK(read->nurls == std::vector<std::string>{"pb://a", "pb://b"});
  CHECK(read->number == 7);
  signed_one.message[5] ^= 1;
  CHECK(verify(signed_one).error().code == Errc::corrupt);
}
