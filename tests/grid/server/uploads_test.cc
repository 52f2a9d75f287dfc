// SPDX-License-Identifier: Apache-2.0
#include "grid/server/uploads.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch.hpp>

#include "grid/server/space.h"
#include "grid/server/turns.h"
#include "tests/grid/storage/temporary_directory.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;

namespace {

const TimePoint start{std::chrono::hours(1)};
constexpr auto minute = std::chrono::minutes(1);
const Uploads::Key first{StorageIndex{}, ShareNo{0}};
const Uploads::Key second{StorageIndex{}, ShareNo{1}};

struct Fixture {
  test::TemporaryDirectory directory;
  Disk disk{false};
  asio::io_context io;

  std::shared_ptr<Upload> upload(std::uint64_t size, TimePoint now) {
    auto file = ShareFile::create(disk, directory.path() / std::to_string(size), size, Lease{});
    REQUIRE(file);
    UploadSecret secret;
    secret.data()[0] = 1;
    return std::make_shared<Upload>(io.get_executor(), std::move(*file), secret, size, now);
  }
};

}  // namespace

TEST_CASE("uploads are found by their place and secret") {
  Fixture f;
  Uploads uploads;
  uploads.add(first, f.upload(10, start));
  UploadSecret right;
  right.data()[0] = 1;
  CHECK(uploads.find(first, right));
  CHECK(uploads.find(first, UploadSecret{}).error().code == Errc::unauthorized);
  CHECK(uploads.find(second, right).error().code == Errc::not_found);
  const auto held = uploads.find(first);
  uploads.remove(first);
  CHECK(held->over);  // whoever waits for its turn learns that it is over
  CHECK(uploads.find(first, right).error().code == Errc::not_found);
  CHECK(uploads.size() == 0);
}

TEST_CASE("space is reserved for shares in progress, written or not") {
  Fixture f;
  Uploads uploads;
  CHECK(uploads.reserved() == 0);
  uploads.add(first, f.upload(10, start));
  uploads.add(second, f.upload(100, start));
  CHECK(uploads.reserved() == 110);
  uploads.remove(first);
  CHECK(uploads.reserved() == 100);
}

TEST_CASE("uploads are idle since their last use") {
  Fixture f;
  Uploads uploads;
  CHECK_FALSE(uploads.oldest_use());
  uploads.add(first, f.upload(10, start));
  uploads.add(second, f.upload(100, start + 10 * minute));
  CHECK(uploads.oldest_use() == start);
  CHECK(uploads.idle_since(start - minute).empty());
  CHECK(uploads.idle_since(start) == std::vector{first});
  uploads.find(first)->last_used = start + 20 * minute;
  CHECK(uploads.idle_since(start + 10 * minute) == std::vector{second});
  CHECK(uploads.oldest_use() == start + 10 * minute);
}

TEST_CASE("a write is inside of its share and not empty") {
  CHECK(check_write(10, 0, 10));
  CHECK(*check_write(10, 9, 1) == ByteRange{9, 10});
  CHECK(check_write(10, 0, 0).error().code == Errc::bad_argument);
  CHECK(check_write(10, 10, 1).error().code == Errc::bad_range);
  CHECK(check_write(10, 5, 6).error().code == Errc::bad_range);
  CHECK(check_write(10, UINT64_MAX, 2).error().code == Errc::bad_range);
}

TEST_CASE("free space is asked for at most once a second") {
  std::uint64_t free = 1000;
  unsigned asked = 0;
  const auto probe = [&] {
    ++asked;
    return free;
  };
  const TimePoint now = Clock::now();
  const SpaceInUse nothing;
  Space space(probe, 100, std::nullopt, false);
  CHECK(space.recently_available(now, nothing) == 900);
  free = 50;
  CHECK(space.recently_available(now + std::chrono::milliseconds(999), nothing) == 900);
  CHECK(asked == 1);
  CHECK(space.recently_available(now + std::chrono::seconds(1), nothing) == 0);
  CHECK(space.available(nothing) == 0);
  Space read_only(probe, 0, std::nullopt, true);
  CHECK(read_only.available(nothing) == 0);
}

TEST_CASE("what is promised is not offered again, and the limit holds for everything") {
  const auto probe = [] { return std::uint64_t{1000}; };
  Space space(probe, 100, std::nullopt, false);
  CHECK(space.available({.promised = 300, .uploads = 500}) == 600);
  CHECK(space.available({.promised = 901, .uploads = 901}) == 0);
  Space limited(probe, 0, 700, false);
  CHECK(limited.available({.shares = 100}) == 600);
  CHECK(limited.available({.promised = 0, .uploads = 250, .shares = 100}) == 350);
  CHECK(limited.available({.shares = 701}) == 0);
  CHECK(limited.available({}) == 0);  // nobody knows what the shares take
  CHECK(limited.below_limit({.shares = 100}) == 600);
  CHECK(space.below_limit({}) == UINT64_MAX);
}

namespace {

Task<> take(Turns& turns, bool write, std::vector<std::string>& log, std::string name,
            Signal& go_on) {
  if (write) {
    const auto turn = co_await turns.write(StorageIndex{});
    log.push_back(name);
    co_await go_on.wait();
  } else {
    const auto turn = co_await turns.read(StorageIndex{});
    log.push_back(name);
    co_await go_on.wait();
  }
}

Task<> take_turns() {
  auto executor = co_await asio::this_coro::executor;
  Turns turns(executor);
  Signal go_on(executor);
  TaskGroup group(executor);
  std::vector<std::string> log;
  const char* names[] = {"r1", "r2", "w1", "r3", "w2"};
  for (const std::string name : names) {
    group.spawn(take(turns, name[0] == 'w', log, name, go_on));
  }
  std::vector<std::size_t> started;
  while (group.running() > 0) {
    // Everybody who can go on does so within a few rounds of the event loop.
    for (int i = 0; i < 20; ++i) co_await asio::post(executor, asio::use_awaitable);
    started.push_back(log.size());
    go_on.notify();
  }
  CHECK(log == std::vector<std::string>{"r1", "r2", "w1", "r3", "w2"});
  // Both readers together, then everybody alone; nobody overtakes a waiting writer.
  CHECK(started.size() >= 4);
  CHECK(started[0] == 2);
  CHECK(turns.busy() == 0);
}

}  // namespace

TEST_CASE("readers share a storage index, writers have it alone, in order") {
  lafs::run(take_turns());
}
