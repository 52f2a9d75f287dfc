// SPDX-License-Identifier: Apache-2.0
// What decides, without any I/O: whom to ask, what to write where, what the answers mean.

#include "grid/mutable/publish_plan.h"

#include <catch2/catch.hpp>

#include "grid/mutable/map_search.h"
#include "grid/mutable/retrieve.h"

using namespace lafs;
using namespace lafs::grid;

namespace {

std::shared_ptr<const ShareHeader> version(std::uint64_t seqnum, std::uint8_t root = 0,
                                           std::uint64_t k = 2, std::uint64_t n = 4) {
  auto header =
      ShareHeader::plan(MutableFormat::sdmf, {k, n, 2 * k, 2 * k}, seqnum, Salt{}, 294, 1218);
  Hash32 hash{};
  hash[0] = root;
  header.set_root_hash(hash);
  return std::make_shared<const ShareHeader>(header);
}

SharePlace at(std::uint64_t server, std::uint64_t number) {
  return {ServerNo{server}, ShareNo{number}};
}

void add(ServerMap& map, SharePlace place, std::shared_ptr<const ShareHeader> v) {
  map.answered(place.server);
  map.found(place, {v, v->bytes(), true});
}

Bytes start_of(const ShareHeader& v) { return to_bytes(ByteView(v.bytes()).first(57)); }

using Reply = Result<storage::ReadTestWriteReply>;
Reply written() { return storage::ReadTestWriteReply{true, {}}; }
Reply refused(ShareNo number, Bytes now) {
  storage::ReadTestWriteReply reply;
  if (!now.empty()) reply.data[number] = {now};
  return reply;
}

std::vector<ServerNo> servers(std::uint64_t count) {
  std::vector<ServerNo> out;
  for (std::uint64_t i = 0; i < count; ++i) out.push_back(ServerNo{i});
  return out;
}

}  // namespace

TEST_CASE("versions are ordered by seqnum, then by copies, then by root hash") {
  ServerMap map;
  const auto one = version(1), low = version(2, 1), high = version(2, 9), lost = version(3);
  for (std::uint64_t i = 0; i < 4; ++i) add(map, at(i, i), one);
  for (std::uint64_t i = 0; i < 3; ++i) add(map, at(4 + i, i), low);
  for (std::uint64_t i = 0; i < 2; ++i) add(map, at(7 + i, i), high);
  add(map, at(9, 0), lost);
  add(map, at(9, 0), lost);
  CHECK(*map.best() == *low);
  CHECK(map.recoverable().size() == 3);
  CHECK(map.newer_unrecoverable());
  CHECK(map.needs_merge());
  CHECK(map.highest_seqnum() == 3);
  map.bad(at(4, 0), low->bytes(), "damaged");
  CHECK(*map.best() == *high);  // two copies each now
  // A share that was found bad stays so, and does not count.
  add(map, at(4, 0), low);
  CHECK(map.places(*low).size() == 2);
}

TEST_CASE("a new file's shares go to one server each, round and round") {
  const auto v = version(1);
  PublishPlan plan(ServerMap(), *v, servers(3));
  const auto writes = plan.next();
  REQUIRE(writes.size() == 4);
  for (std::uint64_t i = 0; i < 4; ++i) {
    CHECK(writes[i].place == at(i % 3, i));
    CHECK(writes[i].expected.empty());
    plan.answered(writes[i], written());
  }
  CHECK(plan.next().empty());
  CHECK(plan.outcome());
  CHECK_FALSE(plan.doubtful());
}

TEST_CASE("every copy is replaced where it is, and numbers without a home get one") {
  ServerMap map;
  const auto old = version(1), v = version(2);
  add(map, at(0, 0), old);
  add(map, at(1, 0), old);
  add(map, at(2, 1), old);
  add(map, at(2, 7), version(1, 0, 2, 10));  // a number that the new version does not have
  map.bad(at(3, 2), Bytes{1, 2, 3}, "damaged");
  PublishPlan plan(map, *v, servers(5));
  std::map<SharePlace, Bytes> writes;
  for (const auto& w : plan.next()) writes[w.place] = w.expected;
  CHECK(writes == std::map<SharePlace, Bytes>{{at(0, 0), start_of(*old)},
                                              {at(1, 0), start_of(*old)},
                                              {at(2, 1), start_of(*old)},
                                              {at(3, 2), Bytes{1, 2, 3}},
                                              {at(4, 3), Bytes{}}});
}

TEST_CASE("what failed is offered to other servers, never twice to the same") {
  const auto v = version(1, 0, 2, 2);
  PublishPlan plan(ServerMap(), *v, servers(4));
  auto writes = plan.next();
  REQUIRE(writes.size() == 2);
  plan.answered(writes[0], fail(Errc::unreachable));
  CHECK(plan.next().empty());  // first hear the other one
  plan.answered(writes[1], written());
  writes = plan.next();
  REQUIRE(writes.size() == 1);
  CHECK(writes[0].place.number == ShareNo{0});
  CHECK(writes[0].place.server != ServerNo{0});
  plan.answered(writes[0], written());
  CHECK(plan.outcome());
}

TEST_CASE("answers tell a collision from a server that fails") {
  const auto old = version(4), v = version(5, 7), rival = version(5, 8), stale = version(3);
  const auto outcome = [&](std::function<Reply()> reply) {
    ServerMap map;
    for (std::uint64_t i = 0; i < 4; ++i) add(map, at(i, i), old);
    PublishPlan plan(map, *v, {});
    const auto writes = plan.next();
    REQUIRE(writes.size() == 4);
    for (std::size_t i = 1; i < 4; ++i) plan.answered(writes[i], written());
    plan.answered(writes[0], reply());
    const auto out = plan.outcome();
    return out ? std::string("done " + std::to_string(plan.written().size()))
               : std::string(name_of(out.error().code));
  };
  const auto beside = [](Bytes other) {
    Reply reply = written();
    reply->data[ShareNo{3}] = {other};
    return reply;
  };
  CHECK(outcome([&] { return written(); }) == "done 4");
  CHECK(outcome([&] { return Reply(fail(Errc::timed_out)); }) == "done 3");
  CHECK(outcome([&] { return refused(ShareNo{0}, start_of(*rival)); }) == "collision");
  CHECK(outcome([&] { return refused(ShareNo{0}, {}); }) == "collision");  // it was deleted
  // Sent twice on the way: the first one did it.
  CHECK(outcome([&] { return refused(ShareNo{0}, start_of(*v)); }) == "done 4");
  // As expected, and yet not written: no space.
  CHECK(outcome([&] { return refused(ShareNo{0}, start_of(*old)); }) == "done 3");
  CHECK(outcome([&] { return beside(start_of(*rival)); }) == "collision");
  CHECK(outcome([&] { return beside(start_of(*old)); }) == "done 4");
  CHECK(outcome([&] { return beside(start_of(*stale)); }) == "done 4");
  CHECK(outcome([&] { return beside(start_of(*v)); }) == "done 4");
  CHECK(outcome([&] { return beside({}); }) == "done 4");
}

TEST_CASE("too few shares are an error that says why, few are doubtful") {
  const auto v = version(1, 0, 2, 10);
  for (const std::size_t good : {0u, 1u, 2u, 5u, 6u}) {
    ServerMap map;
    for (std::uint64_t i = 0; i < 10; ++i) add(map, at(i, i), version(0, 3, 2, 10));
    PublishPlan plan(map, *v, {});
    const auto writes = plan.next();
    for (std::size_t i = 0; i < 10; ++i) {
      plan.answered(writes[i], i < good ? written() : Reply(fail(Errc::no_space, "full")));
    }
    CHECK(plan.outcome().has_value() == (good >= 2));
    if (good == 0) CHECK(plan.outcome().error().code == Errc::no_space);
    if (good == 1) CHECK(plan.outcome().error().code == Errc::not_enough_shares);
    CHECK(plan.doubtful() == (good >= 2 && good <= 5));
  }
  PublishPlan nobody(ServerMap(), *v, {});
  CHECK(nobody.next().empty());
  CHECK(nobody.outcome().error().code == Errc::no_servers);
}

TEST_CASE("a read search asks 2k servers first, and stops when it knows enough") {
  const TimePoint now{std::chrono::seconds(1)};
  MapSearch search({.mode = MapMode::read, .k = 2, .n = 4, .servers = 20, .must_ask = {}});
  ServerMap map;
  const auto first = search.next(map);
  REQUIRE(first.size() == 4);
  for (std::uint64_t i = 0; i < 3; ++i) {
    add(map, at(i, i), version(1));
    search.settled(ServerNo{i}, now);
    CHECK_FALSE(search.done(map, now));
  }
  // One fails: another is asked in its place.
  map.failed(ServerNo{3}, {Errc::unreachable, {}});
  search.settled(ServerNo{3}, now);
  CHECK_FALSE(search.done(map, now));
  CHECK(search.next(map).front() == ServerNo{4});
  map.answered(ServerNo{4});
  search.settled(ServerNo{4}, now);
  CHECK(search.done(map, now));
  // A newer version that cannot be read: on with the search, to the end of the list.
  add(map, at(5, 0), version(2));
  CHECK_FALSE(search.done(map, now));
}

TEST_CASE("a write search goes k empty servers past the last share") {
  const TimePoint now{std::chrono::seconds(1)};
  MapSearch search(
      {.mode = MapMode::write, .k = 2, .n = 4, .servers = 20, .must_ask = {ServerNo{17}}});
  ServerMap map;
  CHECK(search.next(map).size() == 6);  // n + k, the one that must be asked among them
  for (std::uint64_t i = 0; i < 5; ++i) {
    if (i < 3) add(map, at(i, i), version(1));
    map.answered(ServerNo{i});
    search.settled(ServerNo{i}, now);
  }
  CHECK_FALSE(search.done(map, now));  // 17 is silent
  map.answered(ServerNo{17});
  search.settled(ServerNo{17}, now);
  CHECK(search.done(map, now));
}

TEST_CASE("a check search asks everybody") {
  MapSearch search({.mode = MapMode::check, .k = 2, .n = 4, .servers = 20, .must_ask = {}});
  CHECK(search.next(ServerMap()).size() == 20);
  MapSearch none({.mode = MapMode::check, .k = 2, .n = 4, .servers = 0, .must_ask = {}});
  CHECK(none.next(ServerMap()).empty());
  CHECK(none.done(ServerMap(), TimePoint{}));
}

TEST_CASE("shares are fetched from one server for each number, and replaced when they fail") {
  ServerMap map;
  const auto v = version(1);
  add(map, at(0, 1), v);
  add(map, at(1, 0), v);
  add(map, at(2, 0), v);
  ShareQueue queue(map, *v);
  CHECK(queue.next() == at(1, 0));
  CHECK(queue.next() == at(0, 1));
  CHECK_FALSE(queue.next());
  CHECK(queue.next(true) == at(2, 0));  // a hedge
  queue.good(at(1, 0));
  queue.failed(at(0, 1));
  CHECK_FALSE(queue.next());
  CHECK(queue.good_numbers() == std::set<ShareNo>{ShareNo{0}});
}
