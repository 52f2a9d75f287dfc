// SPDX-License-Identifier: Apache-2.0
#include "grid/membership.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "grid/base/base32.h"
#include "grid/base/task_inl.h"
#include "grid/crypto/ed25519.h"
#include "grid/known_server.h"
#include "tests/grid/node_dir/temporary.h"

using namespace lafs;
using namespace lafs::grid;
using lafs::test::TemporaryFolder;

namespace {

std::string entry(const std::string& id, unsigned port, const std::string& more = {}) {
  return "  " + id + ":\n    ann:\n      nickname: " + id +
         "\n      anonymous-storage-FURL: "
         "pb://gfegek6cmbiybrhoiidomw6bgc4empfg@tcp:127.0.0.1:" +
         std::to_string(port) +
         "/swissnum\n      anonymous-storage-NURLs:\n"
         "      - pb://XhW_rjx62RhkA1UWO58XNx5dH2zrKUSU5Go-rIEZggI@127.0.0.1:" +
         std::to_string(port) + "/swissnum#v=1\n" + more;
}

class Node {
 public:
  explicit Node(const std::string& servers, const std::string& config = {}) {
    std::filesystem::create_directory(folder_.path() / "private");
    write(servers, config);
  }
  void write(const std::string& servers, const std::string& config = {}) {
    std::ofstream(folder_.path() / "private" / "servers.yaml") << "storage:\n" + servers;
    std::ofstream(folder_.path() / "tahoe.cfg") << config;
  }
  NodeDir open() const { return NodeDir::open(folder_.path()).value(); }

 private:
  TemporaryFolder folder_;
};

std::shared_ptr<storage::Server> server(Membership& membership, std::string_view id) {
  const auto* known = membership.roster().find(id);
  return known ? known->server : nullptr;
}

}  // namespace

TEST_CASE("servers come, go and stay as the files say when they are read again") {
  run([]() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Node node(entry("one", 1001) + entry("two", 1002));
    auto membership = Membership::open(node.open(), executor).value();
    const auto one = server(*membership, "one");
    const auto order = membership->roster().permuted({});
    REQUIRE(order.size() == 2);
    node.write(entry("one", 1001) + entry("three", 1003), "[client]\npeers.preferred = three\n");
    auto change = membership->reload(node.open());
    REQUIRE(change);
    CHECK(server(*membership, "two"));  // nothing has changed yet
    (*change)();
    CHECK(membership->roster().all().size() == 2);
    CHECK_FALSE(server(*membership, "two"));
    CHECK(server(*membership, "one") == one);  // with its connections
    CHECK(membership->roster().permuted({})[0]->id == "three");
    for (const auto* known : order) CHECK(known->server);  // who works with them may go on
    // Another address is another connection.
    node.write(entry("one", 1009));
    membership->reload(node.open()).value()();
    CHECK(server(*membership, "one") != one);
    co_await membership->close();
  }());
}

TEST_CASE("files that are wrong leave the servers as they are") {
  run([]() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Node node(entry("one", 1001));
    auto membership = Membership::open(node.open(), executor).value();
    const auto one = server(*membership, "one");
    for (const std::string bad : {"  one: [\n", "", "  x: {ann: {nickname: y}}\n"}) {
      CAPTURE(bad);
      node.write(bad);
      CHECK_FALSE(membership->reload(node.open()));
      CHECK(server(*membership, "one") == one);
    }
    node.write(entry("one", 1001), "[grid_managers]\nalice = nonsense\n");
    CHECK(membership->reload(node.open()).error().code == Errc::bad_config);
    co_await membership->close();
  }());
}

TEST_CASE("a server is used as its owner wants it, whatever it announces") {
  run([]() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Node node(entry("plain", 1001) +
              entry("reader", 1002, "    lafs: {use: read, address: \"[::1]:77\"}\n") +
              entry("first", 1003, "    lafs: {preferred: true, timeout: 90 s, connections: 2}\n") +
              entry("never", 1004, "    lafs: {use: none}\n") +
              entry("tor", 1005, "    connections: {tcp: tor}\n") +
              entry("typo", 1006, "    lafs: {prefered: true}\n"));
    auto membership = Membership::open(node.open(), executor).value();
    auto& roster = membership->roster();
    const auto now = std::chrono::system_clock::now();
    REQUIRE(roster.all().size() == 3);
    CHECK(roster.find("plain")->takes_new_files(now));
    CHECK_FALSE(roster.find("reader")->takes_new_files(now));
    CHECK(roster.permuted({})[0]->id == "first");
    const auto said = [&](std::string_view text) {
      for (const auto& why : membership->skipped())
        if (why.find(text) != std::string::npos) return true;
      return false;
    };
    CHECK(said("never: private/servers.yaml says not to use it"));
    CHECK(said("tor: connections: tcp: is tor"));
    CHECK(said("did you mean \"preferred\"?"));
    co_await membership->close();
  }());
}

TEST_CASE("what a grid manager's certificate says is told in time") {
  using namespace std::chrono;
  const Secret32 manager(std::array<std::uint8_t, 32>{1, 2, 3});
  const auto key = ed25519_public(Secret32(std::array<std::uint8_t, 32>{4}));
  const auto id = "v0-" + base32(key);
  const auto certificate = [&](const std::string& until) {
    const auto text = R"({"expires":")" + until + R"(","notice":"new prices in May",)" +
                      R"("public_key":"pub-)" + id + R"(","version":1})";
    const auto signature = base32(ed25519_sign(manager, as_bytes(text)));
    return "      grid-manager-certificates:\n      - {certificate: '" + text +
           "', signature: " + signature + "}\n";
  };
  run([](std::string servers, std::string managers, std::string server)
          -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Node node(servers, managers);
    auto membership = Membership::open(node.open(), executor).value();
    const auto* known = membership->roster().find(server);
    REQUIRE(known);
    CHECK(known->manager_notice == "new prices in May");
    const auto end = sys_days(year(2100) / 1 / 31) + hours(12);
    const auto said = [&](auto before_the_end) {
      return certificate_remark(*known, end - before_the_end).value();
    };
    CHECK_FALSE(said(days(15)).warning);
    CHECK(said(days(15)).text.find("2100-01-31") != std::string::npos);
    CHECK_FALSE(said(days(14)).warning);
    CHECK(said(days(14) - seconds(1)).warning);
    CHECK(said(days(14) - seconds(1)).text.find("in 13 days") != std::string::npos);
    CHECK(said(seconds(1)).warning);
    CHECK(known->takes_new_files(end - seconds(1)));
    CHECK(said(seconds(0)).text.find("expired") != std::string::npos);
    CHECK_FALSE(known->takes_new_files(end));
    // Without one, or with one that nobody we trust has signed.
    const auto* other = membership->roster().find("other");
    REQUIRE(other);
    CHECK(certificate_remark(*other, end)->warning);
    co_await membership->close();
    // Without managers there is nothing to say.
    Node free_node(servers);
    auto free_membership = Membership::open(free_node.open(), executor).value();
    CHECK_FALSE(certificate_remark(*free_membership->roster().find(server), end));
    co_await free_membership->close();
  }(entry(id, 1001, certificate("2100-01-31T12:00:00+00:00")) + entry("other", 1002),
          "[grid_managers]\nalice = pub-v0-" + base32(ed25519_public(manager)) + "\n", id));
}

TEST_CASE("a node that must not show its address contacts nobody") {
  run([]() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    for (const std::string config :
         {"[connections]\ntcp = tor\n", "[connections]\ntcp = disabled\n",
          "[connections]\ntcp = nonsense\n", "[node]\nreveal-IP-address = false\n"}) {
      CAPTURE(config);
      Node node(entry("one", 1001), config);
      auto membership = Membership::open(node.open(), executor);
      REQUIRE_FALSE(membership);
      CHECK(membership.error().code == Errc::bad_config);
      CHECK(membership.error().context.find("tahoe.cfg:2: ") != std::string::npos);
    }
    co_return;
  }());
}
