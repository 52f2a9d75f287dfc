// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/nurl.h"

#include <catch2/catch.hpp>

#include "grid/storage/roster.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;

namespace {
const std::string pin = "XhW_rjx62RhkA1UWO58XNx5dH2zrKUSU5Go-rIEZggI";
}

TEST_CASE("a NURL prints as it was read") {
  for (const std::string& text :
       {"pb://" + pin + "@127.0.0.1:39872/swissnum#v=1", "pb://" + pin + "@[::1]:80/a/b#v=1",
        "pb+tor://" + pin + "@abc.onion:443/x#v=1"}) {
    auto nurl = Nurl::parse(text);
    REQUIRE(nurl);
    CHECK(nurl->text() == text);
  }
  CHECK(Nurl::parse("pb://" + pin + "@[::1]:80/s#v=1")->host == "::1");
  CHECK(Nurl::parse("pb://" + pin + "@host/s#v=1")->port == 443);
}

TEST_CASE("what is not a NURL is refused with a reason that does not repeat the secret") {
  const std::string bad[] = {
      "",
      "pb://",
      "http://" + pin + "@h:1/s#v=1",
      "pb://" + pin + "@h:1/s",
      "pb://" + pin + "@h:1/s#v=2",
      "pb://" + pin + "@h:1/#v=1",
      "pb://" + pin + "@h:1#v=1",
      "pb://" + pin + "@:1/s#v=1",
      "pb://" + pin + "@h:0/s#v=1",
      "pb://" + pin + "@h:65536/s#v=1",
      "pb://" + pin + "@h:+1/s#v=1",
      "pb://" + pin + "@h:1:2/s#v=1",
      "pb://" + pin + "@h o:1/s#v=1",
      "pb://" + pin + "@[::1:1/s#v=1",
      "pb://" + pin + "@[zz]:1/s#v=1",
      "pb://" + pin + "@h:1/s s#v=1",
      "pb://" + pin + "@h:1/s\r\nX: y#v=1",
      "pb://" + pin.substr(1) + "@h:1/s#v=1",
      "pb://" + pin.substr(1) + "!@h:1/s#v=1",
      "pb://" + pin.substr(0, 42) + "J@h:1/s#v=1",  // unused bits set
      "pb://" + pin + "@h:1/" + std::string(5000, 's') + "#v=1",
  };
  for (const auto& text : bad) {
    CAPTURE(text);
    auto nurl = Nurl::parse(text);
    REQUIRE_FALSE(nurl);
    CHECK(nurl.error().code == Errc::bad_config);
    CHECK(nurl.error().context.find(pin) == std::string::npos);
  }
}

TEST_CASE("a FURL gives its tub id, and refuses nonsense") {
  const std::string tub = "zfzcmaxtmoneuedkxnq5am4c2a6hkjcl";
  for (const std::string& text : {"pb://" + tub + "@tcp:127.0.0.1:1/name", "pb://" + tub + "@/name",
                                  "pb://" + tub + "@a,b,c:1/n"}) {
    auto furl = Furl::parse(text);
    REQUIRE(furl);
    CHECK(furl->text() == text);
    CHECK(base32(furl->tub_id) == tub);
  }
  for (const std::string& text :
       {std::string(), "pb://" + tub, "pb://" + tub + "@a", "pb://" + tub + "@a/",
        "pb://" + tub + "@a,,b/n", "pb://" + tub + "@,a/n", "pb://" + tub + "@a,/n",
        "pb://" + tub + "a@a/n", "pb://" + tub.substr(1) + "@a/n", "pb://" + tub + "@a/n\n"}) {
    CAPTURE(text);
    CHECK_FALSE(Furl::parse(text));
  }
}

TEST_CASE("a location's usable hints become NURLs") {
  auto nurls =
      nurls_of("tcp:a.example:1,i2p:x.i2p,tor:b.onion:2,10.0.0.1:3,tcp:[::1]:4,junk", pin, "s");
  REQUIRE(nurls.size() == 4);
  CHECK(nurls[0].text() == "pb://" + pin + "@a.example:1/s#v=1");
  CHECK(nurls[1].text() == "pb+tor://" + pin + "@b.onion:2/s#v=1");
  CHECK(nurls[2].text() == "pb://" + pin + "@10.0.0.1:3/s#v=1");
  CHECK(nurls[3].text() == "pb://" + pin + "@[::1]:4/s#v=1");
  CHECK(nurls_of("", pin, "s").empty());
  CHECK(nurls_of(",,,", pin, "s").empty());
}

TEST_CASE("servers are ordered by the hash of storage index and seed, preferred ones first") {
  StorageIndex si;
  for (std::uint8_t i = 0; i < 16; ++i) si.bytes[i] = i;
  Roster roster;
  roster.add({"first", "", Bytes(32, 2), {}, false, nullptr});   // a1e79a72...
  roster.add({"second", "", Bytes(20, 1), {}, false, nullptr});  // 415ac4da...
  auto order = roster.permuted(si);
  REQUIRE(order.size() == 2);
  CHECK(order[0]->id == "second");
  roster.add({"first", "nick", Bytes(32, 2), {}, true, nullptr});
  REQUIRE(roster.all().size() == 2);
  CHECK(roster.permuted(si)[0]->id == "first");
  CHECK(roster.permuted(si)[0]->name() == "nick");
  CHECK(KnownServer{"v0-abcdefghijkl", "", {}, {}, false, nullptr}.name() == "abcdefgh");
}

TEST_CASE("a server's permutation seed is the announced one, its key, or the hash of its name") {
  CHECK(permutation_seed("x", "aaaq") == Bytes{0, 1});
  const std::string key(52, 'a');
  CHECK(permutation_seed("v0-" + key, std::nullopt) == Bytes(32, 0));
  CHECK(permutation_seed("my-own-name", std::nullopt).size() == 32);
}
