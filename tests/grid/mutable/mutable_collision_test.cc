// SPDX-License-Identifier: Apache-2.0
// Several writers, and writers that die half way.

#include <random>

#include "tests/grid/mutable/mutable_test.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::test;
using fake::FakeGrid;
using fake::Lost;
using fake::Verb;

TEST_CASE("somebody else's publish in between is a collision, and the file is one of both") {
  FakeGrid grid;
  const auto cap = create(grid, "base");
  struct Body {
    static Task<> write(MutableContext context, Cap cap, std::string text,
                        std::optional<Result<VersionId>>& out) {
      MutableFile file(co_await asio::this_coro::executor, context, cap);
      out = co_await file.overwrite(to_bytes(text));
      co_await file.close();
    }
    static Task<> run(MutableContext context, Cap cap, std::optional<Result<VersionId>>& a,
                      std::optional<Result<VersionId>>& b) {
      TaskGroup group(co_await asio::this_coro::executor);
      group.spawn(write(context, cap, "from a", a));
      group.spawn(write(context, cap, "from b", b));
      co_await group.join();
    }
  };
  std::optional<Result<VersionId>> a, b;
  run(Body::run(context_of(grid), cap, a, b));
  const bool a_won = a->has_value();
  const bool b_won = b->has_value();
  CHECK_FALSE((a_won && b_won));
  if (!a_won) CHECK(a->error().code == Errc::collision);
  if (!b_won) CHECK(b->error().code == Errc::collision);
  const auto now = read(grid, cap);
  CHECK((now == "from a" || now == "from b"));
}

TEST_CASE("the changes of writers that collide are all made") {
  for (const int writers : {2, 3, 4}) {
    INFO(writers);
    FakeGrid grid;
    const auto cap = create(grid, "base");
    struct Body {
      static Task<> write(MutableContext context, Cap cap, int i) {
        MutableFile file(co_await asio::this_coro::executor, context, cap);
        auto done = co_await file.modify(appending("<" + std::to_string(i) + ">"), 20);
        INFO((done ? "" : done.error().message()));
        CHECK(done);
        co_await file.close();
      }
      static Task<> run(MutableContext context, Cap cap, int count) {
        TaskGroup group(co_await asio::this_coro::executor);
        for (int i = 0; i < count; ++i) group.spawn(write(context, cap, i));
        co_await group.join();
      }
    };
    run(Body::run(context_of(grid), cap, writers));
    const auto now = read(grid, cap);
    INFO(now);
    for (int i = 0; i < writers; ++i) {
      CHECK(now.find("<" + std::to_string(i) + ">") != now.npos);
    }
  }
}

TEST_CASE("a creation that fails at any step gives a readable file or a typed error") {
  for (const auto lost : {Lost::request, Lost::reply}) {
    std::size_t steps = 0;
    for (std::uint64_t step = 0;; ++step) {
      INFO("step " << step);
      FakeGrid grid({.servers = 5});
      grid.fail_at(step, lost);
      const auto cap = try_create(grid, "contents", 2, 4);
      if (!grid.steps.fired) break;
      ++steps;
      REQUIRE(cap);  // one failure in one place is made up for
      CHECK(read(grid, *cap) == "contents");
      CHECK(grid.share_map(*cap->storage_index()).size() == 4);
    }
    CHECK(steps >= 5);
  }
}

TEST_CASE("a modification that fails at any step leaves the old or the new contents") {
  for (const auto lost : {Lost::request, Lost::reply}) {
    std::size_t steps = 0;
    for (std::uint64_t step = 0;; ++step) {
      INFO("step " << step << (lost == Lost::reply ? ", the reply is lost" : ""));
      FakeGrid grid({.servers = 5});
      const auto cap = create(grid, "old", 2, 4);
      grid.fail_at(step, lost);
      const auto done = append_to(grid, cap, "+new");
      if (!grid.steps.fired) break;
      ++steps;
      REQUIRE(done);
      CHECK(read(grid, cap) == "old+new");
    }
    CHECK(steps >= 8);
  }
}

TEST_CASE("a writer that dies at any step leaves a file that can be read and written") {
  std::size_t old_seen = 0, new_seen = 0;
  for (std::uint64_t step = 0;; ++step) {
    INFO("dies at call " << step);
    FakeGrid grid({.servers = 5});
    const auto cap = create(grid, "old", 2, 4);
    // Its connections all break at this call.
    grid.steps.dead_from = grid.steps.calls + step;
    grid.steps.fired = false;
    const auto done = append_to(grid, cap, "+new");
    const bool fired = grid.steps.fired;
    grid.steps.dead_from.reset();
    const auto now = read(grid, cap);
    CHECK((now == "old" || now == "old+new"));
    if (done) CHECK(now == "old+new");
    (now == "old" ? old_seen : new_seen)++;
    REQUIRE(append_to(grid, cap, "+later"));
    CHECK(read(grid, cap) == now + "+later");
    if (!fired) break;
  }
  CHECK(old_seen > 3);
  CHECK(new_seen > 1);
}

TEST_CASE("shares of an unfinished publish do not hide the last good version") {
  FakeGrid grid;
  const auto cap = create(grid, "good");
  const auto si = *cap.storage_index();
  // Two shares of a version whose writer died.
  {
    FakeGrid copy;
    for (const auto& [number, servers] : grid.share_map(si)) {
      const auto i = *servers.begin();
      copy.server(i).put_share(si, number, *grid.server(i).get_share(si, number),
                               storage::ShareKind::mutable_);
    }
    REQUIRE(overwrite(copy, cap, "unfinished"));
    int taken = 0;
    for (const auto& [number, servers] : copy.share_map(si)) {
      if (taken++ == 2) break;
      const auto i = *servers.begin();
      grid.server(i).put_share(si, number, *copy.server(i).get_share(si, number),
                               storage::ShareKind::mutable_);
    }
  }
  CHECK(read(grid, cap) == "good");
  const auto done = append_to(grid, cap, "!");
  REQUIRE(done);
  CHECK(done->seqnum == 3);  // more than the unfinished one has
  CHECK(read(grid, cap) == "good!");
}
