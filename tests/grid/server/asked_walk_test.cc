// SPDX-License-Identifier: Apache-2.0

// What an operator asks of a server that runs: collect now, make the usage index anew, look at a
// reported share again.

#include <catch2/catch.hpp>

#include "grid/server/collector.h"
#include "tests/fake/server_conformance.h"
#include "tests/grid/server/disk_fixture.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;
using namespace lafs::grid::fake::conformance;
using namespace lafs::test;

namespace {

constexpr std::int64_t day = 24 * 3600;
constexpr auto long_enough = std::chrono::seconds(120);

struct Life : DiskFixture {
  std::int64_t now = 1'700'000'000;

  Life() {
    options.unix_time = [this] { return now; };
  }
  Collector::Options collector_options() {
    Collector::Options out;
    out.directory = options.directory;
    out.share_of_time = out.share_of_time_to_index = out.share_of_time_when_asked = 1;
    out.unix_time = options.unix_time;
    return out;
  }
  ByKind on_disk() const {
    const ShareTree tree(options.directory);
    ByKind out;
    for (unsigned prefix = 0; prefix < bucket_prefixes; ++prefix) {
      const auto buckets = buckets_of(tree, prefix);
      for (const auto& si : *buckets) {
        for (const auto& [number, facts] : facts_of_bucket(tree, si)) out.add(facts);
      }
    }
    return out;
  }
};

Task<> store_some(Server& server) {
  for (int i = 0; i < 5; ++i) {
    const bool stored = co_await store(server, fresh_index(), ShareNo{0}, pattern(1000));
    CHECK(stored);
  }
}

ExpiryPolicy enabled_policy() {
  ExpiryPolicy policy;
  policy.enabled = true;
  return policy;
}

Task<> walk_in_the_background(Collector& collector) {
  auto done = co_await collector.walk();
  CHECK(done);
}

Task<> collect_when_asked(Life& life, DiskServer& server) {
  Collector collector(co_await asio::this_coro::executor, life.pool, server,
                      life.collector_options());
  co_await store_some(server);
  life.now += 40 * day;
  co_await store_some(server);
  TaskGroup background(co_await asio::this_coro::executor);
  background.spawn(walk_in_the_background(collector));
  auto cycle = co_await collector.walk_now(enabled_policy(), nullptr);
  REQUIRE(cycle);
  CHECK(cycle->enabled);
  CHECK(cycle->tally.examined.immutable.shares == 10);
  CHECK(cycle->tally.removed.immutable.shares == 5);
  co_await background.join();
  const auto& history = collector.state().history;
  REQUIRE(history.size() == 2);
  CHECK(history[0].number != history[1].number);
  // The other one is by the server's own settings, which are to remove nothing.
  CHECK(history[0].tally.removed.total().shares + history[1].tally.removed.total().shares == 5);
  CHECK(server.usage() == life.on_disk());
  CHECK(life.on_disk().immutable.shares == 5);
  // What it found is there after a restart, too.
  CHECK(CollectorState::load(life.options.directory).history.size() == 2);
  co_await collector.close();
}

Task<> keep_storing(Server& server, const bool& enough) {
  while (!enough) {
    const bool stored = co_await store(server, fresh_index(), ShareNo{1}, pattern(500));
    CHECK(stored);
  }
}

Task<> rebuild_while_it_works(Life& life, DiskServer& server) {
  Collector collector(co_await asio::this_coro::executor, life.pool, server,
                      life.collector_options());
  co_await store_some(server);
  auto walked = co_await collector.walk();
  CHECK(walked);
  // Somebody has put a share away by hand.
  const ShareTree tree(life.options.directory);
  unsigned prefix = 0;
  while (server.indexed_buckets(prefix).empty()) ++prefix;
  const auto si = server.indexed_buckets(prefix).front();
  std::filesystem::remove_all(tree.bucket(si));
  CHECK(server.usage()->immutable.shares == 5);

  TaskGroup others(co_await asio::this_coro::executor);
  bool enough = false;
  others.spawn(keep_storing(server, enough));
  auto done = co_await collector.rebuild_usage(nullptr);
  CHECK(done);
  enough = true;
  co_await others.join();
  CHECK(server.usage() == life.on_disk());
  CHECK(life.on_disk().immutable.shares >= 5);
  co_await collector.close();
}

Task<> begin_rebuilding(Collector& collector, Result<>& outcome) {
  outcome = co_await collector.rebuild_usage(nullptr);
}

Task<> break_off_a_rebuild(Life& life, DiskServer& server) {
  auto options = life.collector_options();
  options.first_delay = std::chrono::hours(10);
  Collector collector(co_await asio::this_coro::executor, life.pool, server, options);
  co_await store_some(server);
  auto walked = co_await collector.walk();
  CHECK(walked);
  collector.start();
  Result<> outcome;
  TaskGroup asking(co_await asio::this_coro::executor);
  asking.spawn(begin_rebuilding(collector, outcome));
  while (server.usage()) co_await sleep_for(std::chrono::milliseconds(1));
  asking.cancel();
  co_await asking.join();
  // It may have been done already.
  if (!outcome) CHECK(outcome.error().code == Errc::cancelled);
  const auto limit = Clock::now() + long_enough;
  while (!server.usage() && Clock::now() < limit) co_await sleep_for(std::chrono::milliseconds(5));
  CHECK(server.usage() == life.on_disk());
  co_await collector.close();
}

Task<> look_again(Life& life, Result<>& outcome, DiskServer& server) {
  const auto si = fresh_index();
  const bool stored = co_await store(server, si, ShareNo{0}, pattern(1000));
  CHECK(stored);
  auto told = co_await server.advise_corrupt(ShareKind::immutable, si, ShareNo{0}, "bad");
  CHECK(told);
  const auto all = list_advisories(ShareTree(life.options.directory));
  REQUIRE(all);
  REQUIRE(all->size() == 1);
  using Finding = Advisory::Finding;
  const std::pair<Result<>, Finding> looks[] = {
      {fail(Errc::corrupt, "block 3"), Finding::damaged},
      {Result<>{}, Finding::sound},
      {fail(Errc::not_found, "no such share"), Finding::gone},
      {fail(Errc::unsupported, "of another kind"), Finding::unknown}};
  for (const auto& [found, finding] : looks) {
    outcome = found;
    auto checked = co_await server.check_advisory(all->front().file);
    REQUIRE(checked);
    REQUIRE(checked->check);
    CHECK(checked->check->finding == finding);
    CHECK(checked->reason == "bad");
  }
  for (const char* file : {"nothing", "", "../shares", ".."}) {
    auto none = co_await server.check_advisory(file);
    CHECK_FALSE(none);
  }
}

Task<Result<>> answer_with(const Result<>& outcome) { co_return outcome; }

template <class Body>
void on_disk_server(Life& life, Body body) {
  life.with_server([&](Server& server) { return body(dynamic_cast<DiskServer&>(server)); });
}

}  // namespace

TEST_CASE("a collection that was asked for works beside the server's own walk") {
  Life life;
  on_disk_server(life, [&](DiskServer& server) { return collect_when_asked(life, server); });
}

TEST_CASE("the usage index is made anew while shares come") {
  Life life;
  on_disk_server(life, [&](DiskServer& server) { return rebuild_while_it_works(life, server); });
}

TEST_CASE("the server itself ends the making of an index that was broken off") {
  Life life;
  on_disk_server(life, [&](DiskServer& server) { return break_off_a_rebuild(life, server); });
}

TEST_CASE("a reported share is looked at as often as somebody asks") {
  Life life;
  Result<> outcome;
  life.options.check_share = [&](Server&, ShareKind, StorageIndex, ShareNo) {
    return answer_with(outcome);
  };
  on_disk_server(life, [&](DiskServer& server) { return look_again(life, outcome, server); });
}
