// SPDX-License-Identifier: Apache-2.0
#include "cache/cached_client.h"

#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>
#include <random>

#include "tests/cache/scratch.h"
#include "tests/fake/fake_grid.h"

using namespace lafs;
using grid::fake::FakeGrid;
using namespace std::chrono_literals;

namespace {

// One process' client and cache.
struct Node {
  Node(asio::any_io_executor executor, FakeGrid& servers, Pool& pool, const std::string& directory)
      : client(executor, servers.roster(), pool,
               {.encoding = {.k = 2, .happy = 2, .n = 3, .max_segment_size = 4096},
                .convergence_secret = {},
                .lease_secret = {}}),
        cached(executor, client, options(directory)) {}
  static cache::CachedClient::Options options(const std::string& directory) {
    cache::CachedClient::Options out{.segment_bytes = 1, .directory_ttl = 0s, .mutable_ttl = 0s};
    out.disk = cache::ReadCache::Options{.directory = directory,
                                         .node_secret = *grid::Secret32::from(Bytes(32, 3)),
                                         .segment_bytes = 64u << 20,
                                         .listing_bytes = 16u << 20,
                                         .min_free = 0};
    return out;
  }
  Task<> close() {
    co_await cached.close();
    co_await client.close();
  }
  grid::Client client;
  cache::CachedClient cached;
};

Bytes noise(std::size_t size) {
  std::mt19937 rng(11);
  Bytes out(size);
  for (auto& b : out) b = static_cast<std::uint8_t>(rng());
  return out;
}

void set_gone(FakeGrid& servers, bool gone) {
  for (std::size_t i = 0; i < servers.size(); ++i) servers.server(i).set_gone(gone);
}

// Two processes of one node directory, one after the other.
struct Story {
  cache::Scratch scratch;
  FakeGrid servers{{.servers = 3}};
  Pool pool{1};
  Bytes content = noise(50'000);
  grid::Cap cap;

  Task<> write_and_read() {
    Node node(co_await asio::this_coro::executor, servers, pool, scratch.path());
    auto source = grid::memory_source(content);
    auto put = co_await node.cached.put(source);
    REQUIRE(put.has_value());
    cap = *put;
    servers.reset_counters();
    node.cached.disk()->settle();
    auto got = co_await node.cached.read(cap, 10'000, 30'000);
    CHECK(got == to_bytes(ByteView(content).subspan(10'000, 30'000)));
    CHECK(servers.total_calls() == 0);
    co_await node.close();
  }
  Task<> write_elsewhere() {
    cache::Scratch other;
    Node node(co_await asio::this_coro::executor, servers, pool, other.path());
    auto source = grid::memory_source(content);
    auto put = co_await node.cached.put(source);
    REQUIRE(put.has_value());
    cap = *put;
    co_await node.close();
  }
  Task<> read() {
    Node node(co_await asio::this_coro::executor, servers, pool, scratch.path());
    auto got = co_await node.cached.read(cap, 0, content.size());
    CHECK(got == content);
    co_await node.close();
  }
  Task<> see_directory() {
    Node node(co_await asio::this_coro::executor, servers, pool, scratch.path());
    auto made = co_await node.client.create_directory();
    REQUIRE(made.has_value());
    cap = *made;
    auto directory = co_await node.cached.directory(cap);
    REQUIRE(directory.has_value());
    auto applied = co_await (*directory)->apply(set("name"));
    CHECK(applied.has_value());
    directory = fail(Errc::closed);
    co_await node.close();
  }
  Task<> show_directory() {
    Node node(co_await asio::this_coro::executor, servers, pool, scratch.path());
    auto opened = co_await node.cached.directory(cap);
    REQUIRE(opened.has_value());
    auto directory = std::move(*opened);
    auto shown = co_await directory->refresh();
    CHECK(shown.has_value());
    CHECK(directory->find("name").has_value());
    CHECK_FALSE(directory->find("other").has_value());

    // And what changed meanwhile, when the grid is back.
    set_gone(servers, false);
    auto on_grid = co_await node.client.directory(cap);
    REQUIRE(on_grid.has_value());
    grid::EditOptions options{.now = 1};
    auto edited = co_await (*on_grid)->edit(set("other"), std::move(options));
    CHECK(edited.has_value());
    for (int i = 0; i < 200 && !directory->find("other"); ++i) {
      shown = co_await directory->refresh();
      CHECK(shown.has_value());
      co_await sleep_for(5ms);
    }
    CHECK(directory->find("other").has_value());
    directory.reset();
    co_await node.close();
  }
  static std::vector<grid::Edit> set(std::string name) {
    std::vector<grid::Edit> edits;
    edits.push_back(
        grid::Edit::Set{.name = std::move(name), .cap = grid::Cap(grid::LitCap{Bytes(3)})});
    return edits;
  }
};

}  // namespace

TEST_CASE("what was just uploaded is read from the disk, also by the next process") {
  Story story;
  run(story.write_and_read());
  set_gone(story.servers, true);
  run(story.read());
}

TEST_CASE("what was read once is read without the grid after a restart") {
  Story story;
  run(story.write_elsewhere());
  run(story.read());
  set_gone(story.servers, true);
  run(story.read());
}

TEST_CASE("a directory that an earlier process saw is shown while the grid is away") {
  Story story;
  run(story.see_directory());
  set_gone(story.servers, true);
  run(story.show_directory());
}
