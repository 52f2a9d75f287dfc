// SPDX-License-Identifier: Apache-2.0
#include "cache/content_stream.h"

#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>

#include "tests/fake/fake_grid.h"

using namespace lafs;
using grid::fake::FakeGrid;

namespace {

constexpr std::size_t piece = 7000;

Bytes some_content() {
  Bytes out(50'000);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 255);
  return out;
}

struct Story {
  FakeGrid servers{{.servers = 3}};
  Pool pool{1};
  const Bytes content = some_content();
  std::unique_ptr<cache::StagedFile> file = cache::StagedFile::create("/tmp", 0).value();
  std::optional<grid::Client> client;
  std::optional<cache::CachedClient> cached;
  std::optional<cache::ContentStream> stream;
  std::optional<TaskGroup> running;

  Task<> begin() {
    auto executor = co_await asio::this_coro::executor;
    grid::Client::Options options{
        .encoding = {.k = 2, .happy = 2, .n = 3, .max_segment_size = 4096},
        .convergence_secret = {},
        .lease_secret = {}};
    client.emplace(executor, servers.roster(), pool, std::move(options));
    cached.emplace(executor, *client, cache::CachedClient::Options{});
    stream.emplace(executor, *cached, *file, content.size());
    running.emplace(executor);
    running->spawn(stream->run());
  }
  void write(std::size_t at) {
    const auto bytes = ByteView(content).subspan(at, std::min(piece, content.size() - at));
    REQUIRE(file->write(at, bytes).has_value());
    stream->wrote(at, bytes.size());
  }
  Task<> end() {
    co_await running->join();
    co_await cached->close();
    co_await client->close();
  }

  Task<> in_order() {
    co_await begin();
    stream->cut(0);  // as a new content begins
    for (std::size_t at = 0; at < content.size(); at += piece) {
      CHECK_FALSE(stream->whole());
      write(at);
      stream->cut(stream->have());
      co_await sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(stream->whole());
    auto cap = co_await stream->cap();
    REQUIRE(cap.has_value());
    auto back = co_await cached->read(*cap, 0, content.size());
    CHECK(back == content);
    co_await end();
  }
  template <class Change>
  Task<> spoiled_by(Change change) {
    co_await begin();
    write(0);
    co_await sleep_for(std::chrono::milliseconds(1));
    change();
    CHECK(stream->spoiled());
    auto cap = co_await stream->cap();
    CHECK_FALSE(cap.has_value());
    co_await end();  // run() ends by itself
  }
  Task<> stopped() {
    co_await begin();
    write(0);
    running->cancel();
    co_await end();
    CHECK_FALSE(stream->whole());
  }
};

}  // namespace

TEST_CASE("a content that comes from front to back is stored when its end has come") {
  Story story;
  run(story.in_order());
}

TEST_CASE("what is not the next part of the content spoils its way to the grid") {
  Story story;
  SECTION("a gap") {
    run(story.spoiled_by([&] { story.write(2 * piece); }));
  }
  SECTION("the same again") {
    run(story.spoiled_by([&] { story.write(0); }));
  }
  SECTION("a cut") {
    run(story.spoiled_by([&] { story.stream->cut(100); }));
  }
  SECTION("more than was said") {
    run(story.spoiled_by([&] { story.stream->wrote(piece, story.content.size()); }));
  }
  SECTION("another content") {
    run(story.spoiled_by([&] { story.stream->spoil(); }));
  }
}

TEST_CASE("a stream that is told to stop lets go of the servers") {
  Story story;
  run(story.stopped());
}
