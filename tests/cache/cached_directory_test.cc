// SPDX-License-Identifier: Apache-2.0
#include "cache/cached_directory.h"

#include <catch2/catch.hpp>

#include "cache/cached_client.h"
#include "grid/client.h"
#include "tests/fake/fake_grid.h"

using namespace lafs;
using cache::CachedDirectory;
using grid::fake::FakeGrid;
using namespace std::chrono_literals;

namespace {

grid::Cap literal(std::string_view text) { return grid::Cap(grid::LitCap{to_bytes(text)}); }

grid::Edit set(std::string name, std::string_view text = "x") {
  return grid::Edit::Set{.name = std::move(name), .cap = literal(text)};
}
grid::Edit remove_strictly(std::string name) {
  return grid::Edit::Remove{.name = std::move(name), .must_exist = true};
}

Task<> apply_one(CachedDirectory& directory, grid::Edit edit, std::optional<Result<>>& out) {
  std::vector<grid::Edit> edits;
  edits.push_back(std::move(edit));
  out = co_await directory.apply(std::move(edits));
}

struct Fixture {
  Fixture(asio::any_io_executor executor, FakeGrid& servers, Pool& pool)
      : client(executor, servers.roster(), pool,
               {.encoding = {.k = 2, .happy = 2, .n = 3},
                .convergence_secret = {},
                .lease_secret = {}}),
        cached(executor, client, {.directory_ttl = 0s, .mutable_ttl = 0s}) {}
  Task<> close() {
    co_await cached.close();
    co_await client.close();
  }
  grid::Client client;
  cache::CachedClient cached;
};

template <class Body>
void with_directory(Body body) {
  FakeGrid servers({.servers = 3});
  Pool pool(1);
  auto all = [](FakeGrid& g, Pool& p, Body& b) -> Task<> {
    Fixture f(co_await asio::this_coro::executor, g, p);
    auto cap = co_await f.client.create_directory();
    REQUIRE(cap.has_value());
    auto directory = co_await f.cached.directory(*cap);
    REQUIRE(directory.has_value());
    auto loaded = co_await (*directory)->refresh();
    REQUIRE(loaded.has_value());
    co_await b(g, f, **directory, *cap);
    co_await f.close();
  };
  run(all(servers, pool, body));
}

}  // namespace

TEST_CASE("an edit is seen at once, and taken back when it cannot be published") {
  with_directory([](FakeGrid& g, Fixture&, CachedDirectory& directory, grid::Cap) -> Task<> {
    TaskGroup group(co_await asio::this_coro::executor);
    std::optional<Result<>> outcome;
    group.spawn(apply_one(directory, set("a"), outcome));
    co_await sleep_for(0s);
    CHECK(directory.find("a").has_value());
    CHECK_FALSE(outcome.has_value());  // seen before it is on the grid
    co_await group.join();
    CHECK(outcome->has_value());

    for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone();
    outcome.reset();
    group.spawn(apply_one(directory, set("b"), outcome));
    co_await group.join();
    CHECK_FALSE(outcome->has_value());
    CHECK_FALSE(directory.find("b").has_value());
    CHECK(directory.find("a").has_value());
    for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone(false);
  });
}

TEST_CASE("one edit that cannot be made fails alone") {
  with_directory([](FakeGrid&, Fixture&, CachedDirectory& directory, grid::Cap) -> Task<> {
    TaskGroup group(co_await asio::this_coro::executor);
    std::array<std::optional<Result<>>, 4> outcomes;
    group.spawn(apply_one(directory, set("first"), outcomes[0]));
    group.spawn(apply_one(directory, set("good"), outcomes[1]));
    group.spawn(apply_one(directory, remove_strictly("absent"), outcomes[2]));
    group.spawn(apply_one(directory, set("fine"), outcomes[3]));
    co_await group.join();
    CHECK(outcomes[0]->has_value());
    CHECK(outcomes[1]->has_value());
    REQUIRE_FALSE(outcomes[2]->has_value());
    CHECK(outcomes[2]->error().code == Errc::not_found);
    CHECK(outcomes[3]->has_value());
    CHECK(directory.children().size() == 3);
  });
}

TEST_CASE("a directory that cannot be asked any more shows what was read before") {
  with_directory([](FakeGrid& g, Fixture&, CachedDirectory& directory, grid::Cap) -> Task<> {
    std::vector<grid::Edit> edits;
    edits.push_back(set("kept"));
    auto done = co_await directory.apply(std::move(edits));
    REQUIRE(done.has_value());
    for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone();
    directory.expire();
    auto refreshed = co_await directory.refresh();
    CHECK(refreshed.has_value());
    CHECK(directory.find("kept").has_value());
    for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone(false);
  });
}

TEST_CASE("what another node did is seen after a refresh") {
  with_directory([](FakeGrid& g, Fixture& f, CachedDirectory& directory, grid::Cap cap) -> Task<> {
    Fixture other(co_await asio::this_coro::executor, g, f.client.pool());
    auto theirs = co_await other.cached.directory(cap);
    REQUIRE(theirs.has_value());
    std::vector<grid::Edit> edits;
    edits.push_back(set("theirs"));
    auto done = co_await (*theirs)->apply(std::move(edits));
    REQUIRE(done.has_value());
    const auto before = directory.generation();
    auto refreshed = co_await directory.refresh();
    REQUIRE(refreshed.has_value());
    CHECK(directory.find("theirs").has_value());
    CHECK(directory.generation() > before);
    co_await other.close();
  });
}
