// SPDX-License-Identifier: Apache-2.0
#include "grid/storage_node.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "grid/node_dir/files.h"
#include "tests/grid/node_dir/temporary.h"

using namespace lafs;
using namespace lafs::grid;
using lafs::test::TemporaryFolder;

namespace {

NodeDir node_with(const std::filesystem::path& path, std::string_view config) {
  std::filesystem::create_directories(path / "private");
  std::ofstream(path / "tahoe.cfg") << config;
  auto node = NodeDir::open(path);
  REQUIRE(node);
  return *node;
}

constexpr std::string_view usual =
    "[node]\nnickname = s\ntub.port = tcp:3457:interface=127.0.0.1\n"
    "tub.location = tcp:127.0.0.1:3457\n";

}  // namespace

TEST_CASE("an address is a host and a port") {
  CHECK(Endpoint::parse("127.0.0.1:3457").value() == Endpoint{"127.0.0.1", 3457});
  CHECK(Endpoint::parse("[::1]:3457").value() == Endpoint{"::1", 3457});
  CHECK(Endpoint::parse("3457").value() == Endpoint{"0.0.0.0", 3457});
  for (const char* bad :
       {"", ":", "host", "host:", "::1:3457", ":3457", "h:65536", "h:-1", "h:1x"}) {
    CAPTURE(bad);
    CHECK(Endpoint::parse(bad).error().code == Errc::bad_argument);
  }
}

TEST_CASE("tub.port names places to listen on") {
  using Places = std::vector<Endpoint>;
  CHECK(parse_tub_port("tcp:3457").value() == Places{{"0.0.0.0", 3457}});
  CHECK(parse_tub_port("3457").value() == Places{{"0.0.0.0", 3457}});
  CHECK(parse_tub_port("tcp:1:interface=127.0.0.1, tcp:2:interface=\\:\\:1").value() ==
        Places{{"127.0.0.1", 1}, {"::1", 2}});
  CHECK(parse_tub_port("disabled").value().empty());
  for (const char* bad : {"", "tcp:0", "listen:tor", "tcp:x", "tcp:1:backlog=5", "tcp:65536"}) {
    CAPTURE(bad);
    CHECK(parse_tub_port(bad).error().code == Errc::bad_argument);
  }
}

TEST_CASE("a port and a location say where to listen and what to announce") {
  const auto given = places_of("tcp:3457:interface=127.0.0.1", "tcp:grid.example.org:3457");
  REQUIRE(given);
  CHECK(given->listen == std::vector<Endpoint>{{"127.0.0.1", 3457}});
  CHECK(given->location == "tcp:grid.example.org:3457");
  // Nobody can connect to "any address": what is announced are the addresses there are.
  const auto found = places_of("tcp:3457", std::nullopt);
  REQUIRE(found);
  CHECK(found->location.find("0.0.0.0") == std::string::npos);
  CHECK(places_of("tcp:3457", "AUTO,tcp:a.example:1")->location.ends_with(",tcp:a.example:1"));
  CHECK(places_of("disabled", std::nullopt).error().code == Errc::bad_argument);
}

TEST_CASE("a location that nobody could use is refused with its line") {
  const auto places = [](const std::string& location, const std::string& more = {}) {
    TemporaryFolder folder;
    const auto config = "[node]\ntub.port = tcp:3457\ntub.location = " + location + "\n" + more;
    return configured_places(node_with(folder.path(), config));
  };
  CHECK(places("AUTO, tcp:a.example:1, tor:b.onion:1").value().listen.size() == 1);
  CHECK(places("a.example:1")->location == "a.example:1");  // as it was written once
  for (const char* bad :
       {"", "disabled", "tcp:a.example:1,,AUTO", "tcp:a.example", "nonsense,AUTO"}) {
    CAPTURE(bad);
    const auto refused = places(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::bad_config);
    CHECK(refused.error().context.find("tahoe.cfg:3: [node] tub.location") != std::string::npos);
  }
  const std::string hidden = "reveal-IP-address = false\n";
  CHECK(places("tor:b.onion:1", hidden));
  CHECK_FALSE(places("tor:b.onion:1,tcp:a.example:1", hidden));
  CHECK_FALSE(places("AUTO", hidden));
}

TEST_CASE("a storage node keeps its identity") {
  TemporaryFolder folder;
  const auto node = node_with(folder.path(), usual);
  const auto first = StorageNode::prepare(node, std::nullopt);
  REQUIRE(first);
  REQUIRE(first->announcement.nurls.size() == 1);
  CHECK(first->swissnum.size() == 32);
  CHECK(first->announcement.id.starts_with("v0-"));
  CHECK(first->announcement.lease_seed == first->identity.node_id());
  const auto second = StorageNode::prepare(node, std::nullopt);
  REQUIRE(second);
  CHECK(second->announcement.id == first->announcement.id);
  CHECK(second->announcement.furl == first->announcement.furl);
  CHECK(second->announcement.nurls == first->announcement.nurls);
  CHECK(second->announcement.permutation_seed == first->announcement.permutation_seed);

  SECTION("an address given by hand is announced, under the same secret") {
    const auto moved = StorageNode::prepare(node, Endpoint{"10.0.0.9", 99});
    REQUIRE(moved);
    CHECK(moved->swissnum == first->swissnum);
    CHECK(moved->listen == std::vector<Endpoint>{{"10.0.0.9", 99}});
    CHECK(endpoints_of(moved->announcement) == moved->listen);
  }
  SECTION("a FURL of another certificate is refused") {
    std::filesystem::remove(folder.path() / "private" / "node.pem");
    CHECK(StorageNode::prepare(node, std::nullopt).error().code == Errc::bad_config);
  }
  SECTION("what was announced can be read from a servers.yaml") {
    const auto file = parse_servers(format_servers({first->announcement}), "servers.yaml");
    REQUIRE(file);
    REQUIRE(file->servers.size() == 1);
    CHECK(file->servers[0].lease_seed == first->identity.node_id());
    CHECK(file->servers[0].permutation_seed == first->announcement.permutation_seed);
  }
}

TEST_CASE("a server that holds shares already keeps its old place in the order") {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "storage" / "shares" / "incoming");
  const auto empty = StorageNode::prepare(node_with(folder.path(), usual), std::nullopt);
  REQUIRE(empty);
  CHECK(to_bytes(ByteView(empty->identity.node_id())) != empty->announcement.permutation_seed);
  std::filesystem::create_directories(folder.path() / "storage" / "shares" / "ab");
  std::filesystem::remove(folder.path() / "permutation-seed");
  const auto old = StorageNode::prepare(node_with(folder.path(), usual), std::nullopt);
  REQUIRE(old);
  CHECK(to_bytes(ByteView(old->identity.node_id())) == old->announcement.permutation_seed);
}

TEST_CASE("a storage node without a usable port says so") {
  TemporaryFolder folder;
  const auto off = node_with(folder.path(), "[node]\ntub.port = disabled\n");
  CHECK(StorageNode::prepare(off, std::nullopt).error().code == Errc::bad_config);
  const auto tor = node_with(folder.path(), "[node]\ntub.port = listen:tor\n");
  CHECK(StorageNode::prepare(tor, std::nullopt).error().context.find("tahoe.cfg:2") !=
        std::string::npos);
}

TEST_CASE("without tub.port a port is chosen once") {
  TemporaryFolder folder;
  const auto node = node_with(folder.path(), "[node]\ntub.location = tcp:a.example:1\n");
  const auto first = StorageNode::prepare(node, std::nullopt);
  REQUIRE(first);
  CHECK(first->listen.at(0).port >= 20000);
  CHECK(StorageNode::prepare(node, std::nullopt).value().listen == first->listen);
}
