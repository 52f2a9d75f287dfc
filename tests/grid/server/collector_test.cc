// SPDX-License-Identifier: Apache-2.0
#include "grid/server/collector.h"

#include <catch2/catch.hpp>

#include "grid/server/advisories.h"
#include "grid/server/disk.h"
#include "grid/server/mutable_slot.h"
#include "grid/server/share_file.h"
#include "grid/server/usage_index.h"
#include "tests/fake/server_conformance.h"
#include "tests/grid/server/disk_fixture.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;
using namespace lafs::grid::fake::conformance;
using namespace lafs::test;

namespace {

constexpr std::int64_t day = 24 * 3600;
constexpr std::int64_t start = 1'700'000'000;

ExpiryPolicy enabled_policy() {
  ExpiryPolicy policy;
  policy.enabled = true;
  return policy;
}

}  // namespace

TEST_CASE("a lease runs out when it is too old, or from before a day") {
  ExpiryPolicy policy;
  const auto granted_at = [](std::int64_t t) { return static_cast<std::uint32_t>(t + 31 * day); };
  CHECK(!policy.expired(ShareKind::immutable, granted_at(start), start + 31 * day));
  CHECK(policy.expired(ShareKind::immutable, granted_at(start), start + 31 * day + 1));
  CHECK(policy.text() == "leases older than 31 days");
  policy.max_age = 60;
  CHECK(policy.expired(ShareKind::mutable_, granted_at(start), start + 61));
  policy.mutable_ = false;
  CHECK(!policy.expired(ShareKind::mutable_, granted_at(start), start + 61));
  CHECK(policy.text() == "leases older than 60 seconds, immutable shares only");
  policy = {};
  policy.mode = ExpiryPolicy::Mode::cutoff_date;
  policy.cutoff = start;
  CHECK(policy.expired(ShareKind::immutable, granted_at(start - 1), start));
  CHECK(!policy.expired(ShareKind::immutable, granted_at(start), start + 1000 * day));
  CHECK(policy.text() == "leases last renewed before 2023-11-14");
}

TEST_CASE("the record of a share in the index is what was written, and nothing else is one") {
  ShareFacts facts{ShareKind::mutable_, 5, 4096, {{1, 7, {1, 2, 3, 4, 5, 6, 7, 8}}, {0, 9, {}}}};
  const auto record = encode_facts(facts);
  CHECK(record.size() == 18 + 2 * 16);
  const auto decoded = decode_facts(record);
  REQUIRE(decoded);
  CHECK(*decoded == facts);
  for (const auto& bad :
       {Bytes{}, Bytes(17, 1), Bytes(18, 2), Bytes(record.begin(), record.end() - 1)}) {
    CHECK(!decode_facts(bad));
  }
}

namespace {

struct Life : DiskFixture {
  std::int64_t now = start;
  ExpiryPolicy policy;
  CollectionTally last;

  Life() {
    options.unix_time = [this] { return now; };
  }

  Collector::Options collector_options() {
    Collector::Options out;
    out.directory = options.directory;
    out.policy = policy;
    out.share_of_time = out.share_of_time_to_index = 1;
    out.unix_time = options.unix_time;
    return out;
  }

  // One walk over everything.
  void collect() {
    with_server([this](Server& server) { return walk(*this, dynamic_cast<DiskServer&>(server)); });
  }
  static Task<> walk(Life& life, DiskServer& server) {
    Collector collector(co_await asio::this_coro::executor, life.pool, server,
                        life.collector_options());
    auto done = co_await collector.walk();
    CHECK(done);
    life.last = collector.state().history.back().tally;
    co_await collector.close();
    const auto usage = server.usage();
    REQUIRE(usage);
    // The index says what the files say.
    ByKind there;
    for (unsigned prefix = 0; prefix < bucket_prefixes; ++prefix) {
      const auto buckets = buckets_of(ShareTree(life.options.directory), prefix);
      REQUIRE(buckets);
      for (const auto& si : *buckets) {
        for (const auto& [number, facts] : facts_of_bucket(ShareTree(life.options.directory), si)) {
          there.add(facts);
        }
      }
    }
    CHECK(*usage == there);
  }
};

struct Three {
  StorageIndex renewed = fresh_index();
  StorageIndex forgotten = fresh_index();
  StorageIndex directory = fresh_index();
  LeaseSecrets lease = fresh_lease();
};

Task<> store_three(Three& three, Server& server) {
  for (const auto& si : {three.renewed, three.forgotten}) {
    const auto secret = random_secret<32>();
    auto allocated = co_await server.allocate(si, numbers(0, 1), 1000, three.lease, secret);
    REQUIRE(allocated);
    for (auto n : numbers(0, 1)) {
      const auto data = pattern(1000);
      auto written = co_await server.write(si, n, secret, 0, data);
      REQUIRE(written);
      CHECK(written->complete);
    }
  }
  ReadTestWrite change;
  change.changes[ShareNo{3}].writes.push_back({0, pattern(50)});
  MutableSecrets secrets{random_secret<32>(), fresh_lease()};
  auto done = co_await server.read_test_write(three.directory, secrets, change);
  REQUIRE(done);
  CHECK(done->success);
}

Task<> renew_one(Three& three, Server& server) {
  auto renewed = co_await server.add_lease(three.renewed, three.lease);
  CHECK(renewed);
  auto another = co_await server.add_lease(three.renewed, fresh_lease());
  CHECK(another);
}

}  // namespace

TEST_CASE("a collection counts first, and removes what has run out only when it may") {
  Life life;
  Three three;
  const ShareTree tree(life.options.directory);
  life.with_server([&](Server& server) { return store_three(three, server); });
  life.now += 20 * day;
  life.with_server([&](Server& server) { return renew_one(three, server); });

  life.now += 12 * day;  // 32 days after the start, 12 after the renewal
  life.collect();
  CHECK(life.last.buckets == 3);
  CHECK(life.last.examined.immutable.shares == 4);
  CHECK(life.last.examined.immutable.data_bytes == 4000);
  CHECK(life.last.examined.mutable_.shares == 1);
  CHECK(life.last.leases == 7);
  CHECK(life.last.leases_expired == 3);
  CHECK(life.last.expired.immutable.shares == 2);
  CHECK(life.last.expired.mutable_.shares == 1);
  CHECK(life.last.removed == ByKind{});
  CHECK(life.last.ages.leases == std::array<std::uint64_t, 7>{0, 0, 4, 0, 3, 0, 0});
  CHECK(std::filesystem::exists(tree.share(three.forgotten, ShareNo{0})));

  life.policy = enabled_policy();
  life.policy.mutable_ = false;
  life.collect();
  CHECK(life.last.removed.immutable.shares == 2);
  CHECK(!std::filesystem::exists(tree.bucket(three.forgotten)));
  CHECK(std::filesystem::exists(tree.share(three.renewed, ShareNo{1})));
  CHECK(std::filesystem::exists(tree.share(three.directory, ShareNo{3})));

  life.policy = enabled_policy();
  life.collect();
  CHECK(life.last.removed.mutable_.shares == 1);
  CHECK(!std::filesystem::exists(tree.bucket(three.directory)));
  life.collect();
  CHECK(life.last.removed == ByKind{});
  CHECK(life.last.examined.total().shares == 2);
}

namespace {

Task<> add_late_lease(Three& three, Server& server) {
  auto renewed = co_await server.add_lease(three.renewed, fresh_lease());
  CHECK(renewed);
  renewed = co_await server.add_lease(three.directory, fresh_lease());
  CHECK(renewed);
}

}  // namespace

TEST_CASE("a share with one good lease loses the others and keeps its data") {
  Life life;
  Three three;
  const ShareTree tree(life.options.directory);
  life.with_server([&](Server& server) { return store_three(three, server); });
  life.now += 30 * day;
  life.with_server([&](Server& server) { return add_late_lease(three, server); });
  life.now += 10 * day;
  life.policy = enabled_policy();
  life.collect();
  CHECK(life.last.leases_removed == 2 + 2 + 1);  // forgotten; renewed; the directory
  auto share = ShareFile::open(tree.share(three.renewed, ShareNo{0}));
  REQUIRE(share);
  CHECK(share->leases()->size() == 1);
  CHECK(*share->read(0, 5000) == pattern(1000));
  auto slot = MutableSlot::open(tree.share(three.directory, ShareNo{3}));
  REQUIRE(slot);
  CHECK(slot->leases()->size() == 1);
  CHECK(*slot->read(0, 5000) == pattern(50));
}

TEST_CASE("shares without leases and files that are no shares stay") {
  Life life;
  Three three;
  const ShareTree tree(life.options.directory);
  life.with_server([&](Server& server) { return store_three(three, server); });
  const auto path = tree.share(three.forgotten, ShareNo{0});
  {
    Disk disk(false);
    auto share = ShareFile::open(path, true);
    REQUIRE(share);
    CHECK(share->cancel(disk, 0));
  }
  write_file(tree.share(three.forgotten, ShareNo{1}), as_bytes("nonsense"));
  life.now += 100 * day;
  life.policy = enabled_policy();
  life.collect();
  CHECK(life.last.without_leases == 1);
  CHECK(life.last.unreadable == 1);
  CHECK(life.last.unreadable_shares == std::vector{three.forgotten.text() + "/1"});
  CHECK(std::filesystem::exists(path));
  CHECK(std::filesystem::exists(tree.share(three.forgotten, ShareNo{1})));
}

namespace {

Task<> start_and_stop(Life& life, DiskServer& server) {
  Collector collector(co_await asio::this_coro::executor, life.pool, server,
                      life.collector_options());
  TaskGroup group(co_await asio::this_coro::executor);
  Result<> outcome;
  struct Walk {
    static Task<> go(Collector& c, Result<>& out) { out = co_await c.walk(); }
  };
  group.spawn(Walk::go(collector, outcome));
  // Until it has seen one storage index; there are three.
  while (!collector.state().behind) co_await sleep_for(std::chrono::microseconds(50));
  group.cancel();
  co_await group.join();
  if (!outcome) {
    CHECK(outcome.error().code == Errc::cancelled);
    CHECK(collector.state().behind);
  }
  co_await collector.close();
}

}  // namespace

TEST_CASE("a walk goes on behind the place where it was stopped") {
  Life life;
  Three three;
  life.with_server([&](Server& server) { return store_three(three, server); });
  life.collect();  // makes the index, so that the next walk need not see everything
  life.with_server(
      [&](Server& server) { return start_and_stop(life, dynamic_cast<DiskServer&>(server)); });
  const auto stopped = CollectorState::load(life.options.directory);
  life.collect();
  CHECK(life.last.examined.total().shares == 5);
  CHECK(CollectorState::load(life.options.directory).history.size() == 2);
  const auto again = CollectorState::parse(stopped.text());
  REQUIRE(again);
  CHECK(again->text() == stopped.text());
  for (const char* bad : {"", "{}", "[]", "{\"version\":2}", "{\"version\":1,\"history\":[{}]}"}) {
    CHECK(!CollectorState::parse(bad));
  }
}

TEST_CASE("what others removed leaves the index at the next walk") {
  Life life;
  Three three;
  life.with_server([&](Server& server) { return store_three(three, server); });
  life.collect();
  std::filesystem::remove_all(ShareTree(life.options.directory).bucket(three.renewed));
  life.collect();  // compares the index with the files
  CHECK(life.last.examined.total().shares == 3);
}

TEST_CASE("an index is not trusted when the machine went down while it was open") {
  Life life;
  Three three;
  life.with_server([&](Server& server) { return store_three(three, server); });
  life.collect();
  const auto directory = life.options.directory;
  const auto complete = [&] { return UsageIndex::open(directory)->complete(); };
  CHECK(complete());
  write_file(directory / "lafs-usage.open", as_bytes("another start\n"));
  CHECK(!complete());
  life.collect();
  CHECK(complete());
  write_file(directory / "lafs-usage.mdb", as_bytes("damaged"));
  CHECK(!complete());
  life.collect();
  const auto reader = UsageIndex::open_to_read(directory);
  REQUIRE(reader);
  CHECK((*reader)->totals().total().shares == 5);
  std::size_t seen = 0;
  (*reader)->each([&](const StorageIndex&, ShareNo, const ShareFacts& facts) {
    seen += facts.leases.size();
    return true;
  });
  CHECK(seen == 5);
}

namespace {

Task<> fill_to_the_limit(Life& life, Server& server) {
  const auto secret = random_secret<32>();
  auto early = co_await server.allocate(fresh_index(), numbers(0), 1000, fresh_lease(), secret);
  REQUIRE(early);
  CHECK(early->allocated.empty());  // nobody knows yet what is there
  co_await Life::walk(life, dynamic_cast<DiskServer&>(server));
  auto fits = co_await server.allocate(fresh_index(), numbers(0, 1), 30'000, fresh_lease(), secret);
  REQUIRE(fits);
  CHECK(fits->allocated == numbers(0));
  auto version = co_await server.version();
  REQUIRE(version);
  CHECK(version->available_space <= 20'000);
  ReadTestWrite change;
  change.changes[ShareNo{0}].writes.push_back({0, pattern(25'000)});
  const MutableSecrets secrets{random_secret<32>(), fresh_lease()};
  const auto si = fresh_index();
  auto refused = co_await server.read_test_write(si, secrets, change);
  REQUIRE(!refused);
  CHECK(refused.error().code == Errc::no_space);
  change.changes[ShareNo{0}].writes[0].data = pattern(5'000);
  auto taken = co_await server.read_test_write(si, secrets, change);
  CHECK(taken);
}

}  // namespace

TEST_CASE("a size limit holds for everything the server keeps") {
  Life life;
  life.options.size_limit = 50'000;
  life.with_server([&](Server& server) { return fill_to_the_limit(life, server); });
}

namespace {

Task<> report_twice(Three& three, Server& server) {
  auto told = co_await server.advise_corrupt(ShareKind::immutable, three.renewed, ShareNo{0},
                                             "block 3\nhash mismatch");
  CHECK(told);
  told = co_await server.advise_corrupt(ShareKind::mutable_, three.directory, ShareNo{3}, "bad");
  CHECK(told);
}

Task<Result<>> only_immutable_is_sound(Server&, ShareKind kind, StorageIndex, ShareNo) {
  if (kind == ShareKind::immutable) co_return Result<>{};
  co_return fail(Errc::corrupt, "the signature is wrong");
}

}  // namespace

TEST_CASE("reported shares are checked, and the outcome is noted beside the report") {
  Life life;
  Three three;
  life.options.check_share = only_immutable_is_sound;
  life.with_server([&](Server& server) { return store_three(three, server); });
  life.with_server([&](Server& server) { return report_twice(three, server); });
  const ShareTree tree(life.options.directory);
  auto all = list_advisories(tree);
  REQUIRE(all);
  REQUIRE(all->size() == 2);
  CHECK((*all)[0].reason == "block 3\nhash mismatch");
  CHECK((*all)[0].si == three.renewed);
  CHECK((*all)[1].kind == ShareKind::mutable_);
  CHECK((*all)[1].number == ShareNo{3});
  // close() does not wait for a check that has not begun.
  for (const auto& advisory : *all) {
    if (advisory.check)
      CHECK((advisory.check->finding == Advisory::Finding::sound) ==
            (advisory.kind == ShareKind::immutable));
  }
  Disk disk(false);
  CHECK(note_check(disk, tree, (*all)[1].file, fail(Errc::corrupt, "two\nlines"), start));
  all = list_advisories(tree);
  REQUIRE(all);
  REQUIRE((*all)[1].check);
  CHECK((*all)[1].check->time == "2023-11-14T22:13:20Z");
  CHECK((*all)[1].check->finding == Advisory::Finding::damaged);
  for (const char* bad :
       {"", "report: Share Corruption\n", "report: Share Corruption\ntype: x\n"}) {
    CHECK(!parse_advisory((*all)[0].file, bad));
  }
  CHECK(!parse_advisory("x", ""));
}
