// SPDX-License-Identifier: Apache-2.0

// Two nodes that change one tree at the same time, without hearing of each other: both are right
// when they meet again.

#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "tests/frontends/grid_fs/drive.h"

using namespace lafs;
using namespace lafs::fs;
using lafs::fs::test::Drive;
using lafs::fs::test::Setting;
using lafs::fs::test::somebody;
using lafs::grid::fake::FakeGrid;

namespace {

using View = std::map<std::string, std::string>;  // path -> content, "/" for a directory

Task<Result<>> look_into(Drive& drive, std::string prefix, NodeId node, View& out) {
  CO_TRY(names, co_await drive.names(node));
  for (const auto& name : names) {
    const auto path = prefix + name;
    CO_TRY(found, co_await drive.find(path));
    if (found.kind == Kind::directory) {
      out[path] = "/";
      CO_TRY_DO(co_await look_into(drive, path + "/", found.id, out));
    } else {
      CO_TRY(bytes, co_await drive.get(path));
      out[path] = to_text(bytes);
    }
    drive.fs().forget(found.id, 1);
  }
  co_return Result<>{};
}
Task<View> look(Drive& drive) {
  View out;
  auto done = co_await look_into(drive, "", root_node, out);
  if (!done) out["(not readable)"] = done.error().message();
  co_return out;
}

std::string shown(const View& view) {
  std::string out;
  for (const auto& [path, what] : view) out += path + "=" + what + "; ";
  return out;
}

// A node that hears nothing from others and tells nothing, until it is asked to.
struct Alone {
  Drive drive;
  NodeId directories[2]{};
  std::vector<std::string> log;

  Alone(asio::any_io_executor executor, FakeGrid& g, Pool& p, grid::Cap root)
      : drive(executor, g, p, std::move(root),
              Setting{.fs = {},
                      .quiet = std::chrono::hours(1),
                      .directory_ttl = std::chrono::hours(1)}) {}

  Task<Result<>> find_directories() {
    CO_TRY(one, co_await drive.find("one"));
    CO_TRY(two, co_await drive.find("two"));
    directories[0] = one.id;
    directories[1] = two.id;
    // Everything is known from now on.
    auto ignored = co_await look(drive);
    co_return Result<>{};
  }
  // Refused changes (no such name, it exists) are as good as any.
  Task<> change(std::mt19937& random, std::string value) {
    auto roll = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    const auto from = directories[roll(2)], to = directories[roll(2)];
    const auto name = std::string(1, static_cast<char>('a' + roll(4)));
    const auto other = std::string(1, static_cast<char>('a' + roll(4)));
    const auto what = roll(6);
    if (what <= 2) {
      auto done = co_await drive.put(from, name, to_bytes(value));
      if (done) log.push_back("put " + name + " " + value);
    } else if (what == 3) {
      auto done = co_await drive.fs().unlink(from, name);
      if (done) log.push_back("unlink " + name);
    } else if (what == 4) {
      auto done = co_await drive.fs().rename(from, name, to, other, RenameMode::replace);
      if (done) log.push_back("rename " + name + " -> " + other);
    } else {
      auto found = co_await drive.fs().lookup(from, name);
      if (!found) co_return;
      Changes changes;
      changes.mode = 0600 + roll(64);
      auto done = co_await drive.fs().change(found->id, changes, std::nullopt);
      drive.fs().forget(found->id, 1);
    }
  }
};

std::set<std::string> contents(const View& view) {
  std::set<std::string> out;
  for (const auto& [path, what] : view)
    if (what != "/") out.insert(what);
  return out;
}

Task<> meet(unsigned seed, FakeGrid& g, Pool& p) {
  auto executor = co_await asio::this_coro::executor;
  auto root = co_await Drive::new_root(executor, g, p);
  REQUIRE(root.has_value());
  {
    Drive first(executor, g, p, *root, {.fs = {}});
    for (const auto* name : {"one", "two"}) {
      auto made = co_await first.fs().mkdir(root_node, name, 0755, somebody);
      REQUIRE(made.has_value());
      for (const auto* file : {"a", "b", "c"}) {
        auto done = co_await first.put(made->id, file, to_bytes(std::string("old ") + name + file));
        REQUIRE(done.has_value());
      }
    }
    auto closed = co_await first.close();
    REQUIRE(closed.has_value());
  }
  std::mt19937 random(seed);
  int value = 0;
  for (int round = 0; round < 3; ++round) {
    INFO("seed " << seed << ", round " << round);
    Alone a(executor, g, p, *root), b(executor, g, p, *root);
    for (auto* node : {&a, &b}) {
      auto found = co_await node->find_directories();
      REQUIRE(found.has_value());
    }
    const auto before = co_await look(a.drive);
    for (int i = 0; i < 12; ++i) {
      auto& node = random() % 2 ? a : b;
      co_await node.change(random, "value " + std::to_string(++value));
    }
    const auto of_a = co_await look(a.drive), of_b = co_await look(b.drive);
    // They come back one after the other, or at once.
    if (random() % 2) {
      TaskGroup both(executor);
      auto come_back = [](Drive& drive, int& failed) -> Task<> {
        auto done = co_await drive.settle();
        failed += !done.has_value();
      };
      int failed = 0;
      both.spawn(come_back(a.drive, failed));
      both.spawn(come_back(b.drive, failed));
      co_await both.join();
      CHECK(failed == 0);
    }
    for (auto* node : {&a, &b}) {
      auto closed = co_await node->drive.close();
      CHECK(closed.has_value());
    }
    Drive after(executor, g, p, *root, {.fs = {}});
    const auto met = co_await look(after);
    auto closed = co_await after.close();
    CHECK(closed.has_value());

    const auto old = contents(before), all = contents(met);
    const auto has_a = contents(of_a), has_b = contents(of_b);
    std::string story = "before: " + shown(before) + "\na: " + shown(of_a) + "\nb: " + shown(of_b) +
                        "\nmet: " + shown(met) + "\na did:";
    for (const auto& line : a.log) story += " " + line + ",";
    story += "\nb did:";
    for (const auto& line : b.log) story += " " + line + ",";
    for (const auto* mine : {&has_a, &has_b})
      for (const auto& what : *mine)
        if (!old.contains(what) && !all.contains(what)) FAIL_CHECK(what << " is lost\n" << story);
    for (const auto& what : old)
      if (has_a.contains(what) && has_b.contains(what) && !all.contains(what))
        FAIL_CHECK(what << " is lost\n" << story);
    for (const auto& what : all) {
      if (!has_a.contains(what) && !has_b.contains(what))
        FAIL_CHECK(what << " came back\n" << story);
    }
  }
}

}  // namespace

TEST_CASE("two nodes that come back from being alone lose nothing of either") {
  FakeGrid grid({.servers = 5});
  Pool pool(1);
  const char* wanted = std::getenv("LAFS_MERGE_SEEDS");
  const auto seeds = wanted ? static_cast<unsigned>(std::atoi(wanted)) : 1u;
  for (unsigned seed = 1; seed <= seeds; ++seed) run(meet(seed, grid, pool));
}
