// SPDX-License-Identifier: Apache-2.0
// Several clients edit one directory while servers fail and dawdle at random: every edit that was
// acknowledged is there in the end, or was replaced by a later one. LAFS_SCHEDULES=N plays N of
// each kind instead of 1000.

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <random>

#include "grid/directory/directory.h"
#include "tests/grid/mutable/mutable_test.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::test;
using fake::FakeGrid;
using fake::Lost;

namespace {

using Random = std::mt19937_64;

std::uint64_t below(Random& random, std::uint64_t n) { return random() % n; }

// One edit of one name, as its client saw it. Times are places in one common order of events.
struct Done {
  std::string name;
  std::string value;  // empty: removed
  std::uint64_t began = 0;
  std::uint64_t ended = 0;
  bool acknowledged = false;
};

struct Schedule {
  FakeGrid grid{{.servers = 7}};
  Random random;
  std::uint64_t clock = 0;
  std::vector<Done> edits;
  std::size_t clients_left = 0;
};

std::uint64_t schedules(std::uint64_t usual) {
  const char* given = std::getenv("LAFS_SCHEDULES");
  return given ? std::strtoull(given, nullptr, 10) : usual;
}

Task<> pause(std::uint64_t steps) {
  auto executor = co_await asio::this_coro::executor;
  for (std::uint64_t i = 0; i < steps; ++i) co_await asio::post(executor, asio::use_awaitable);
}

Task<> client(Schedule& s, Cap cap, std::size_t me, int edits) {
  auto context = context_of(s.grid, 2, 6);
  auto file = std::make_shared<MutableFile>(co_await asio::this_coro::executor, context, cap);
  Directory directory(file, context.pool);
  for (int i = 0; i < edits; ++i) {
    co_await pause(below(s.random, 30));
    Done done;
    const bool shared = below(s.random, 3) == 0;
    done.name =
        shared ? "shared" : "of" + std::to_string(me) + "-" + std::to_string(below(s.random, 2));
    std::vector<Edit> batch;
    if (below(s.random, 5) == 0) {
      batch.push_back(Edit::Remove{done.name, false});
    } else {
      done.value = std::to_string(me) + "/" + std::to_string(i);
      batch.push_back(Edit::Set{done.name, Cap(LitCap{to_bytes(done.value)})});
    }
    done.began = ++s.clock;
    EditOptions options;
    const auto out = co_await directory.edit(std::move(batch), options);
    done.ended = ++s.clock;
    done.acknowledged = out.has_value();
    if (out) {
      CHECK(out->listing.contains(done.name) == !done.value.empty());
    }
    s.edits.push_back(done);
  }
  co_await file->close();
  --s.clients_left;
}

// Makes single calls fail, before or after they took effect, and takes one server away at a time.
Task<> trouble(Schedule& s) {
  std::optional<std::size_t> away;
  while (s.clients_left > 0) {
    co_await pause(1 + below(s.random, 20));
    const auto i = below(s.random, s.grid.size());
    s.grid.server(i).faults.delay =
        below(s.random, 4) ? Duration(0) : std::chrono::microseconds(below(s.random, 500));
    switch (below(s.random, 4)) {
      case 0:
        if (away) s.grid.server(*away).set_gone(false);
        away = i;
        s.grid.server(i).set_gone();
        break;
      case 1:
        if (away) s.grid.server(*away).set_gone(false);
        away.reset();
        break;
      default:
        s.grid.server(i).fail_at(below(s.random, 4),
                                 below(s.random, 2) ? Lost::reply : Lost::request);
    }
  }
  for (std::size_t i = 0; i < s.grid.size(); ++i) {
    s.grid.server(i).set_gone(false);
    s.grid.server(i).own_steps.fail_at.reset();
    s.grid.server(i).faults.delay = {};
  }
}

// A client of its own cache: each edit says what its maker saw, which may be long ago.
struct MergeDone {
  std::optional<std::string> expected;  // what it knowingly replaces
  std::string value;                    // empty: removed
  bool acknowledged = false;
};

Task<> merging_client(Schedule& s, Cap cap, std::size_t me, int edits,
                      std::vector<MergeDone>& done) {
  auto context = context_of(s.grid, 2, 6);
  auto file = std::make_shared<MutableFile>(co_await asio::this_coro::executor, context, cap);
  Directory directory(file, context.pool);
  Listing seen;
  for (int i = 0; i < edits; ++i) {
    co_await pause(below(s.random, 30));
    const auto name = "n" + std::to_string(below(s.random, 2));
    const auto present = seen.find(name);
    MergeDone one;
    if (present) one.expected = to_text(present->cap.as<LitCap>()->data);
    const auto expected = present ? std::optional(present->cap) : std::nullopt;
    std::vector<Edit> batch;
    if (present && below(s.random, 4) == 0) {
      batch.push_back(Edit::Remove{.name = name, .expected = expected, .merge = true});
    } else {
      one.value = std::to_string(me) + "/" + std::to_string(i);
      batch.push_back(Edit::Set{.name = name,
                                .cap = Cap(LitCap{to_bytes(one.value)}),
                                .expected = expected,
                                .merge = true});
    }
    EditOptions options{.now = 1763971200, .host = "client" + std::to_string(me)};
    auto out = co_await directory.edit(std::move(batch), std::move(options));
    one.acknowledged = out.has_value();
    if (out) seen = out->listing;
    done.push_back(std::move(one));
  }
  co_await file->close();
  --s.clients_left;
}

Task<Result<Listing>> play_merging(Schedule& s, Cap cap, std::vector<MergeDone>& done) {
  auto executor = co_await asio::this_coro::executor;
  TaskGroup group(executor);
  s.clients_left = 2 + below(s.random, 2);
  const auto clients = s.clients_left;
  for (std::size_t i = 0; i < clients; ++i) group.spawn(merging_client(s, cap, i, 3, done));
  group.spawn(trouble(s));
  co_await group.join();
  auto file = std::make_shared<MutableFile>(executor, context_of(s.grid, 2, 6), cap);
  Directory directory(file, test_pool());
  auto out = co_await directory.list();
  co_await file->close();
  co_return out;
}

Task<Result<Listing>> play(Schedule& s, Cap cap) {
  auto executor = co_await asio::this_coro::executor;
  TaskGroup group(executor);
  s.clients_left = 2 + below(s.random, 2);
  const auto clients = s.clients_left;
  for (std::size_t i = 0; i < clients; ++i) group.spawn(client(s, cap, i, 3));
  group.spawn(trouble(s));
  co_await group.join();
  auto file = std::make_shared<MutableFile>(executor, context_of(s.grid, 2, 6), cap);
  Directory directory(file, test_pool());
  auto out = co_await directory.list();
  co_await file->close();
  co_return out;
}

Task<Result<Cap>> empty_directory(MutableContext context) {
  co_return co_await Directory::create(co_await asio::this_coro::executor, context,
                                       MutableFormat::sdmf, test_key());
}

}  // namespace

TEST_CASE("no acknowledged edit is lost, whatever fails and whoever else writes") {
  std::size_t acknowledged = 0, refused = 0;
  for (std::uint64_t seed = 0; seed < schedules(1000); ++seed) {
    INFO("seed " << seed);
    Schedule s;
    s.random.seed(seed);
    const auto cap = run(empty_directory(context_of(s.grid, 2, 6)));
    REQUIRE(cap);
    const auto end = run(play(s, *cap));
    REQUIRE(end);
    std::set<std::string> names;
    for (const auto& edit : s.edits) {
      names.insert(edit.name);
      ++(edit.acknowledged ? acknowledged : refused);
    }
    for (const auto& name : names) {
      // What the name may hold now: the outcome of any edit that no acknowledged one followed.
      std::set<std::string> allowed;
      bool any_acknowledged = false;
      for (const auto& edit : s.edits) {
        if (edit.name != name) continue;
        any_acknowledged = any_acknowledged || edit.acknowledged;
        bool followed = false;
        for (const auto& later : s.edits) {
          followed =
              followed || (later.name == name && later.acknowledged && later.began > edit.ended);
        }
        if (!followed) allowed.insert(edit.value);
      }
      if (!any_acknowledged) allowed.insert("");
      const auto child = end->find(name);
      const auto value = child ? to_text(child->cap.as<LitCap>()->data) : std::string();
      INFO(name << " holds " << value);
      CHECK(allowed.contains(value));
    }
  }
  INFO(acknowledged << " acknowledged, " << refused << " not");
  CHECK(acknowledged > 10 * refused);
}

TEST_CASE("content that was acknowledged is somewhere, unless somebody who saw it replaced it") {
  std::size_t acknowledged = 0, put_aside = 0;
  for (std::uint64_t seed = 0; seed < schedules(1000); ++seed) {
    INFO("seed " << seed);
    Schedule s;
    s.random.seed(seed);
    const auto cap = run(empty_directory(context_of(s.grid, 2, 6)));
    REQUIRE(cap);
    std::vector<MergeDone> done;
    const auto end = run(play_merging(s, *cap, done));
    REQUIRE(end);
    std::set<std::string> there;
    for (const auto& child : end->children()) {
      there.insert(to_text(child.cap.as<LitCap>()->data));
      if (child.name.find(".conflict-client") != child.name.npos) ++put_aside;
    }
    for (const auto& one : done) {
      if (!one.acknowledged || one.value.empty()) continue;
      ++acknowledged;
      const bool replaced = std::ranges::any_of(
          done, [&](const MergeDone& other) { return other.expected == one.value; });
      INFO(one.value);
      CHECK((there.contains(one.value) || replaced));
    }
  }
  CHECK(acknowledged > 0);
  CHECK(put_aside > 0);
}
