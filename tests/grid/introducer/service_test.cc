// SPDX-License-Identifier: Apache-2.0

// Clients and introducers over real connections on loopback.

#include "grid/introducer/service.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "grid/node_dir/files.h"
#include "tests/grid/introducer/loopback.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::introducer;
using namespace lafs::test;

namespace {

// Two identities, the first of which has the smaller tub id. Made once: keys take time.
const std::pair<storage::Identity, storage::Identity>& identities() {
  static const auto pair = [] {
    auto a = storage::Identity::generate(), b = storage::Identity::generate();
    if (a.tub_id() > b.tub_id()) std::swap(a, b);
    return std::pair(std::move(a), std::move(b));
  }();
  return pair;
}

}  // namespace

TEST_CASE("announcements reach subscribers, whichever side decides the negotiation") {
  const bool client_is_master = GENERATE(false, true);
  const auto& [low, high] = identities();
  const auto& own = client_is_master ? high : low;
  const auto& theirs = client_is_master ? low : high;
  run([](const storage::Identity& client_identity,
         const storage::Identity& service_identity) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Folder folder;
    Service service(executor, service_identity, options_for(folder, service_identity));
    const auto port = service.listen("127.0.0.1", 0);
    REQUIRE(port);
    service.start();
    Listener alice(executor, client_identity, furl_for(service_identity, *port), {announce(1, 5)});
    co_await alice.until_heard(1);
    CHECK(alice.heard[0].number == 5);
    CHECK(service.book().size() == 1);
    // A second client with another identity hears what there is, and the first hears of the new
    // one.
    const auto other = storage::Identity::generate();
    Listener bob(executor, other, furl_for(service_identity, *port), {announce(2, 1)});
    co_await bob.until_heard(2);
    co_await alice.until_heard(2);
    CHECK(alice.client.status().connected);
    CHECK(service.status().subscribers == 2);
    // A newer announcement replaces the old one; an older one is not passed on.
    bob.publishes = {announce(2, 3)};
    bob.client.publish_again();
    co_await alice.until_heard(3);
    CHECK(alice.heard[2].number == 3);
    CHECK(service.book().size() == 2);
    co_await alice.client.close();
    co_await bob.client.close();
    co_await service.close();
  }(own, theirs));
}

TEST_CASE("an introducer remembers across restarts and passes on to its peers") {
  const auto& [low, high] = identities();
  run([](const storage::Identity& one, const storage::Identity& two) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Folder folder, other_folder;
    const auto third = storage::Identity::generate();
    {
      Service first(executor, one, options_for(folder, one));
      const auto port = first.listen("127.0.0.1", 0);
      REQUIRE(port);
      first.start();
      // `second` follows `first`, so what either hears reaches the other.
      auto options = options_for(other_folder, two);
      options.peers.emplace_back();
      options.peers.back().petname = "first";
      options.peers.back().furl = furl_for(one, *port);
      Service second(executor, two, std::move(options));
      const auto second_port = second.listen("127.0.0.1", 0);
      REQUIRE(second_port);
      second.start();
      Listener publisher(executor, third, furl_for(two, *second_port), {announce(7, 1)});
      co_await publisher.until_heard(1);
      while (first.book().size() == 0) co_await sleep_for(std::chrono::milliseconds(5));
      co_await publisher.client.close();
      co_await second.close();
      co_await first.close();
    }
    Service again(executor, one, options_for(folder, one));
    REQUIRE(again.load());
    const auto port = again.listen("127.0.0.1", 0);
    REQUIRE(port);
    again.start();
    Listener late(executor, third, furl_for(one, *port), {});
    co_await late.until_heard(1);
    CHECK(late.heard[0].server_id == announce(7, 1).key);
    co_await late.client.close();
    co_await again.close();
  }(low, high));
}

TEST_CASE("a client comes back after its introducer did") {
  const auto& [low, high] = identities();
  run([](const storage::Identity& client_identity,
         const storage::Identity& service_identity) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Folder folder;
    auto first = std::make_unique<Service>(executor, service_identity,
                                           options_for(folder, service_identity));
    const auto port = first->listen("127.0.0.1", 0);
    REQUIRE(port);
    first->start();
    Listener client(executor, client_identity, furl_for(service_identity, *port), {announce(1, 1)});
    co_await client.until_heard(1);
    co_await first->close();
    first.reset();
    while (client.client.status().connected) co_await sleep_for(std::chrono::milliseconds(5));
    Service second(executor, service_identity, options_for(folder, service_identity));
    REQUIRE(second.load());
    REQUIRE(second.listen("127.0.0.1", *port));
    second.start();
    co_await client.until_heard(2);
    CHECK(client.client.status().connected);
    co_await client.client.close();
    co_await second.close();
  }(low, high));
}

TEST_CASE("an introducer is found at whichever of its places it can be reached") {
  const auto& [low, high] = identities();
  run([](const storage::Identity& own, const storage::Identity& theirs) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Folder folder, other_folder;
    Service service(executor, theirs, options_for(folder, theirs));
    const auto port = service.listen("127.0.0.1", 0);
    const auto stranger_identity = storage::Identity::generate();
    Service stranger(executor, stranger_identity, options_for(other_folder, stranger_identity));
    const auto stranger_port = stranger.listen("127.0.0.1", 0);
    REQUIRE(port);
    REQUIRE(stranger_port);
    service.start();
    stranger.start();
    auto furl = furl_for(theirs, *port);
    furl.hints = {"i2p:nowhere", "tcp:127.0.0.1:1",
                  "tcp:127.0.0.1:" + std::to_string(*stranger_port), "tcp:name.invalid:7",
                  furl.hints.front()};
    const auto limit = std::chrono::seconds(30);
    auto connected = co_await Connection::connect(executor, own, furl, limit);
    REQUIRE(connected);
    CHECK((*connected)->peer_tub() == theirs.tub_id());
    (*connected)->start();
    co_await (*connected)->close();
    furl.hints.pop_back();
    auto lost = co_await Connection::connect(executor, own, furl, limit);
    REQUIRE_FALSE(lost);
    CHECK(lost.error().message().find("unknown TubID") != std::string::npos);
    co_await service.close();
    co_await stranger.close();
  }(low, high));
}

TEST_CASE("what a peer has been told, and what it refuses, is not said again") {
  const auto& [low, high] = identities();
  run([](const storage::Identity& own, const storage::Identity& theirs) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Folder folder;
    Service service(executor, theirs, options_for(folder, theirs));
    const auto port = service.listen("127.0.0.1", 0);
    REQUIRE(port);
    service.start();
    auto forged = announce(1, 1);
    forged.message.back() = ' ';
    Listener publisher(executor, own, furl_for(theirs, *port), {forged, announce(2, 1)});
    co_await publisher.until_heard(1);
    CHECK(publisher.heard[0].server_id == announce(2, 1).key);
    CHECK(publisher.client.status().connected);
    publisher.publishes.push_back(announce(3, 1));
    publisher.client.publish_again();
    co_await publisher.until_heard(2);
    CHECK(publisher.client.status().told == 2);
    co_await publisher.client.close();
    co_await service.close();
  }(low, high));
}

TEST_CASE("an introducer of another key, or none, or a wrong name is an error that says so") {
  const auto& [low, high] = identities();
  run([](const storage::Identity& own, const storage::Identity& theirs) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Folder folder;
    Service service(executor, theirs, options_for(folder, theirs));
    const auto port = service.listen("127.0.0.1", 0);
    REQUIRE(port);
    const auto limit = std::chrono::seconds(20);
    auto furl = furl_for(own, *port);  // asks for a tub that is not there
    auto wrong = co_await Connection::connect(executor, own, furl, limit);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().message().find("unknown TubID") != std::string::npos);
    auto right = co_await Connection::connect(executor, own, furl_for(theirs, *port), limit);
    REQUIRE(right);
    (*right)->start();
    auto missing = co_await (*right)->find("another name", limit);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message().find("KeyError") != std::string::npos);
    // A forged announcement is refused, and the connection goes on.
    auto found = co_await (*right)->find(swissnum, limit);
    REQUIRE(found);
    CHECK(found->interface == service_interface);
    auto forged = announce(3, 1);
    forged.message.back() = ' ';
    const auto canary = (*right)->offer([](const Call&) -> Result<Value> { return none(); });
    std::vector<Value> arguments{value_of(forged), (*right)->pass(canary)};
    auto refused =
        co_await (*right)->call(found->object, "publish_v2", std::move(arguments), limit);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message().find("BadSignature") != std::string::npos);
    CHECK(service.book().size() == 0);
    auto unknown = co_await (*right)->call(found->object, "shout", {}, limit);
    CHECK_FALSE(unknown);
    auto version = co_await (*right)->call(found->object, "get_version", {}, limit);
    CHECK(version);
    co_await (*right)->close();
    co_await service.close();
    auto gone = co_await Connection::connect(executor, own, furl_for(theirs, *port), limit);
    REQUIRE_FALSE(gone);
    CHECK(gone.error().code == Errc::unreachable);
  }(low, high));
}
