// SPDX-License-Identifier: Apache-2.0
// discovery.json: the certificate, NURL and FURL groups.
#include <catch2/catch.hpp>
#include <set>

#include "grid/storage/identity.h"
#include "grid/storage/nurl.h"
#include "grid/storage/tls.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::grid::storage;
using namespace lafs::test;

namespace {
const json::value& discovery() {
  static const json::value all = load_vectors("discovery.json");
  return all;
}
}  // namespace

TEST_CASE("vectors: a Tahoe node's certificate gives its tub id and pin") {
  const auto& c = at(discovery(), "certificate");
  auto identity = Identity::from_pem(as_text(b64(c, "node_pem_b64")));
  REQUIRE(identity);
  CHECK(identity->certificate() == b64(c, "certificate_der_b64"));
  CHECK(to_hex(identity->node_id()) == text(c, "certificate_sha1_hex"));
  CHECK(identity->tub_id() == text(c, "tub_id"));
  CHECK(identity->pin() == text(c, "spki_hash"));
  CHECK(check_pin(identity->certificate(), text(c, "spki_hash")));
}

TEST_CASE("vectors: NURLs") {
  for (const auto& c : group(discovery(), "nurls")) {
    CAPTURE(text(c, "text"));
    auto nurl = Nurl::parse(text(c, "text"));
    REQUIRE(nurl);
    CHECK((nurl->tor ? "pb+tor" : "pb") == text(c, "scheme"));
    CHECK(nurl->pin == text(c, "spki_hash"));
    CHECK(nurl->host == text(c, "host"));
    CHECK(nurl->port == number(c, "port"));
    CHECK(nurl->swissnum == text(c, "swissnum"));
    CHECK(nurl->text() == text(c, "text"));
  }
}

TEST_CASE("vectors: which NURLs are accepted") {
  for (const auto& c : group(discovery(), "bad_nurls")) {
    CAPTURE(text(c, "text"));
    auto nurl = Nurl::parse(text(c, "text"));
    CHECK(nurl.has_value() == flag(c, "accepted"));
    if (nurl) CHECK(nurl->port == (has(c, "port") ? number(c, "port") : 443));
  }
}

TEST_CASE("vectors: NURLs of a location setting") {
  const auto pin = text(at(discovery(), "certificate"), "spki_hash");
  for (const auto& c : group(discovery(), "nurls_from_location")) {
    CAPTURE(text(c, "location"));
    if (has(c, "error")) continue;  // the original crashes on IPv6; we do better
    using Host = std::tuple<std::string, std::string, std::uint64_t>;
    std::set<Host> expected;
    for (const auto& h : group(c, "hosts")) {
      const auto& three = h.as_array();
      expected.insert({text(three.at(0)), text(three.at(1)), number(three.at(2))});
    }
    std::set<Host> actual;
    for (const auto& nurl : nurls_of(text(c, "location"), pin, "swissnum")) {
      actual.insert({nurl.tor ? "pb+tor" : "pb", nurl.host, nurl.port});
    }
    CHECK(actual == expected);
  }
}

TEST_CASE("vectors: FURLs") {
  for (const auto& c : group(discovery(), "furls")) {
    CAPTURE(text(c, "text"));
    auto furl = Furl::parse(text(c, "text"));
    // Tub ids of other lengths are not for us.
    const bool ours = !has(c, "error") && text(c, "tub_id").size() == 32;
    REQUIRE(furl.has_value() == ours);
    if (!ours) continue;
    CHECK(to_hex(furl->tub_id) == text(c, "tub_id_hex"));
    std::vector<std::string> hints;
    for (const auto& hint : at(c, "hints").as_array()) hints.push_back(text(hint));
    CHECK(furl->hints == hints);
    CHECK(furl->name == text(c, "name"));
    CHECK(furl->text() == text(c, "text"));
  }
}
