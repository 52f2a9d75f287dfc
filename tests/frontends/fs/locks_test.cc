// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/locks.h"

#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>

namespace lafs::fs {
namespace {

constexpr NodeId node{7};
constexpr LockOwner ann{1}, bob{2}, eve{3};

Lock record(LockOwner owner, bool exclusive, std::uint64_t begin, std::uint64_t end) {
  return {
      LockFamily::record, owner, exclusive, {begin, end}, static_cast<std::uint32_t>(owner.value)};
}
Lock whole(LockOwner owner, bool exclusive) { return {LockFamily::whole_file, owner, exclusive}; }

TEST_CASE("shared locks live together, exclusive ones with nobody else's") {
  LockTable table;
  CHECK(table.try_lock(node, whole(ann, false)));
  CHECK(table.try_lock(node, whole(bob, false)));
  CHECK_FALSE(table.try_lock(node, whole(eve, true)));
  table.unlock_all(node, LockFamily::whole_file, bob);
  CHECK(table.try_lock(node, whole(ann, true)));
  CHECK_FALSE(table.try_lock(node, whole(bob, false)));
  CHECK(table.try_lock(NodeId{8}, whole(bob, true)));
  CHECK(table.try_lock(node, record(bob, true, 0, 10)));  // the families do not see each other
}

TEST_CASE("a failed conversion of a whole-file lock loses it, of a record lock keeps it") {
  LockTable table;
  REQUIRE(table.try_lock(node, whole(ann, false)));
  REQUIRE(table.try_lock(node, whole(bob, false)));
  CHECK_FALSE(table.try_lock(node, whole(ann, true)));
  CHECK(table.try_lock(node, whole(bob, true)));
  REQUIRE(table.try_lock(node, record(ann, false, 0, 10)));
  REQUIRE(table.try_lock(node, record(bob, false, 0, 10)));
  CHECK_FALSE(table.try_lock(node, record(ann, true, 0, 10)));
  CHECK_FALSE(table.try_lock(node, record(bob, true, 0, 10)));
}

TEST_CASE("unlocking the middle of a record lock leaves both ends") {
  LockTable table;
  REQUIRE(table.try_lock(node, record(ann, true, 0, 100)));
  table.unlock(node, LockFamily::record, ann, {40, 60});
  CHECK(table.try_lock(node, record(bob, true, 40, 60)));
  CHECK(table.conflict(node, record(bob, false, 0, 40))->range == ByteRange{0, 40});
  CHECK(table.conflict(node, record(bob, false, 60, UINT64_MAX))->range == ByteRange{60, 100});
  CHECK(table.conflict(node, record(bob, false, 99, 200))->pid == 1);
}

TEST_CASE("touching locks of one kind become one, and all of it is given back") {
  LockTable table;
  for (std::uint64_t at : {0, 20, 10, 30})
    REQUIRE(table.try_lock(node, record(ann, true, at, at + 10)));
  CHECK(table.conflict(node, record(bob, false, 39, 40))->range == ByteRange{0, 40});
  REQUIRE(table.try_lock(node, record(ann, false, 10, 20)));  // a part goes down
  CHECK(table.try_lock(node, record(bob, false, 10, 20)));
  CHECK_FALSE(table.try_lock(node, record(bob, false, 9, 20)));
  table.unlock_all(node, LockFamily::record, ann);
  table.unlock_all(node, LockFamily::record, bob);
  CHECK(table.nodes() == 0);
}

Task<> wait_for(LockTable& table, Lock lock, std::shared_ptr<LockWait> wait, LockOutcome& out) {
  out = co_await table.lock(node, lock, wait);
}

TEST_CASE("a waiter gets the lock when it is free, or gives up") {
  run([]() -> Task<> {
    const auto executor = co_await asio::this_coro::executor;
    LockTable table;
    REQUIRE(table.try_lock(node, record(ann, true, 0, 10)));
    TaskGroup group(executor);
    auto patient = std::make_shared<LockWait>(executor),
         hasty = std::make_shared<LockWait>(executor);
    auto first = LockOutcome::busy, second = LockOutcome::busy;
    group.spawn(wait_for(table, record(bob, true, 5, 6), patient, first));
    group.spawn(wait_for(table, record(eve, true, 5, 6), hasty, second));
    co_await sleep_for(std::chrono::milliseconds(1));
    hasty->give_up();
    co_await group.wait_one();
    CHECK(second == LockOutcome::interrupted);
    CHECK(first == LockOutcome::busy);
    table.unlock(node, LockFamily::record, ann, {0, 8});
    co_await group.join();
    CHECK(first == LockOutcome::granted);
    CHECK(table.conflict(node, record(eve, true, 5, 6))->owner == bob);
  }());
}

TEST_CASE("two who wait for each other are told, the second at once") {
  run([]() -> Task<> {
    const auto executor = co_await asio::this_coro::executor;
    LockTable table;
    REQUIRE(table.try_lock(node, record(ann, true, 0, 1)));
    REQUIRE(table.try_lock(node, record(bob, true, 1, 2)));
    TaskGroup group(executor);
    auto a = std::make_shared<LockWait>(executor), b = std::make_shared<LockWait>(executor);
    auto ann_gets = LockOutcome::busy;
    group.spawn(wait_for(table, record(ann, true, 1, 2), a, ann_gets));
    co_await sleep_for(std::chrono::milliseconds(1));
    const auto bob_gets = co_await table.lock(node, record(bob, true, 0, 1), b);
    CHECK(bob_gets == LockOutcome::deadlock);
    table.unlock_all(node, LockFamily::record, bob);
    co_await group.join();
    CHECK(ann_gets == LockOutcome::granted);
  }());
}

}  // namespace
}  // namespace lafs::fs
