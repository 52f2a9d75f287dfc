// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "encode_helper.h"
#include "grid/caps/keys.h"
#include "grid/immutable/uploader.h"
#include "tests/fake/fake_grid.h"

using namespace lafs;
using namespace lafs::grid;
using namespace std::chrono_literals;
using fake::FakeGrid;
using fake::Lost;
using fake::Verb;
using grid::test::pattern;

namespace {

Pool& pool() {
  static Pool the_pool(2);
  return the_pool;
}

UploadContext context(FakeGrid& grid, Encoding encoding = {}) {
  UploadContext out{grid.roster(), pool(), {}, encoding, to_bytes("secret")};
  out.limits.survey = 300ms;
  out.limits.stragglers = 30ms;
  out.limits.allocate = 300ms;
  out.limits.contention = 0ms;
  out.limits.send.deadline = 300ms;
  return out;
}

Result<UploadResult> put(UploadContext c, Bytes data, std::optional<Key16> key = std::nullopt) {
  const auto source = memory_source(std::move(data));
  return run(upload(std::move(c), source, key));
}

StorageIndex index_of(const UploadResult& done) { return *done.cap.storage_index(); }

// Every share on the grid is byte for byte what encoding gives.
void check_shares(FakeGrid& grid, const Bytes& data, const UploadResult& done, Encoding encoding) {
  const auto g = Geometry::for_upload(data.size(), encoding).value();
  const auto& cap = *done.cap.as<ChkCap>();
  const auto expected = run(grid::test::encode_shares(pool(), data, g, cap.key)).value();
  CHECK(expected.file.ueb_hash == cap.ueb_hash);
  for (std::size_t s = 0; s < grid.size(); ++s) {
    for (auto number : grid.server(s).shares(index_of(done))) {
      CHECK(grid.server(s).get_share(index_of(done), number) == expected.shares[number.value]);
    }
  }
}

}  // namespace

TEST_CASE("an upload puts each share on a server of its own") {
  FakeGrid grid;
  const auto data = pattern(100'000);
  std::uint64_t progress = 0;
  auto c = context(grid, {.k = 3, .happy = 7, .n = 10, .max_segment_size = 10'000});
  c.progress = [&](std::uint64_t done, std::uint64_t total) {
    CHECK(total == 100'000);
    CHECK(done > progress);
    progress = done;
  };
  auto done = put(c, data);
  REQUIRE(done.has_value());
  CHECK(progress == 100'000);
  CHECK(done->report.happiness == 10);
  CHECK(done->report.shares_sent == 10);
  CHECK(done->report.shares_found == 0);
  CHECK(done->report.servers.size() == 10);
  CHECK(done->report.bytes_sent == 10 * grid.server(0).bytes_written());
  for (std::size_t s = 0; s < 10; ++s) {
    CHECK(grid.server(s).shares(index_of(*done)).size() == 1);
    CHECK(grid.server(s).leases(index_of(*done)).size() == 1);
  }
  CHECK(grid.unfinished_uploads() == 0);
  check_shares(grid, data, *done, c.encoding);
}

TEST_CASE("uploads of many sizes and codes leave the right shares") {
  for (std::size_t size : {56, 57, 99, 100, 101, 102, 1000, 4096, 30'011}) {
    for (auto [k, n] : {std::pair{1, 1}, {1, 4}, {3, 10}, {4, 4}, {7, 22}}) {
      FakeGrid grid({.servers = 5});
      const Encoding encoding{.k = static_cast<std::uint64_t>(k),
                              .happy = 1,
                              .n = static_cast<std::uint64_t>(n),
                              .max_segment_size = 100};
      const auto data = pattern(size);
      auto done = put(context(grid, encoding), data);
      REQUIRE(done.has_value());
      CHECK(grid.share_map(index_of(*done)).size() == encoding.n);
      check_shares(grid, data, *done, encoding);
    }
  }
}

TEST_CASE("a large file goes out in pieces, some of them at once") {
  FakeGrid grid({.servers = 4});
  for (std::size_t s = 0; s < 4; ++s) grid.server(s).faults.delay = 2ms;
  const Encoding encoding{.k = 2, .happy = 4, .n = 4, .max_segment_size = 128 << 10};
  const auto data = pattern(5'000'000);
  auto done = put(context(grid, encoding), data);
  REQUIRE(done.has_value());
  check_shares(grid, data, *done, encoding);
  CHECK(grid.server(0).calls(Verb::write) == 3);
  CHECK(grid.server(0).most_in_flight() >= 2);
}

TEST_CASE("files of up to 55 bytes need no server") {
  FakeGrid grid({.servers = 0});
  auto small = put(context(grid), pattern(55));
  REQUIRE(small.has_value());
  CHECK(small->cap.is_literal());
  auto large = put(context(grid), pattern(56));
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().code == Errc::no_servers);
}

TEST_CASE("the same file twice is sent once, and its leases are renewed") {
  FakeGrid grid;
  const auto data = pattern(5000);
  auto first = put(context(grid), data);
  REQUIRE(first.has_value());
  grid.reset_counters();
  auto c = context(grid);
  c.lease_secret = Secret32(std::array<std::uint8_t, 32>{1});
  auto second = put(c, data);
  REQUIRE(second.has_value());
  CHECK(second->cap == first->cap);
  CHECK(second->report.shares_sent == 0);
  CHECK(second->report.shares_found == 10);
  CHECK(second->report.happiness == 10);
  CHECK(grid.calls(Verb::write) == 0);
  for (std::size_t s = 0; s < 10; ++s) CHECK(grid.server(s).leases(index_of(*first)).size() == 2);
}

TEST_CASE("only the shares that are missing are sent") {
  FakeGrid grid;
  const auto data = pattern(5000);
  auto first = put(context(grid), data);
  REQUIRE(first.has_value());
  grid.server(3).delete_share(index_of(*first), *grid.server(3).shares(index_of(*first)).begin());
  grid.server(5).delete_share(index_of(*first), *grid.server(5).shares(index_of(*first)).begin());
  auto second = put(context(grid), data);
  REQUIRE(second.has_value());
  CHECK(second->report.shares_sent == 2);
  CHECK(second->report.shares_found == 8);
  CHECK(second->report.happiness == 10);
  check_shares(grid, data, *second, {});
}

TEST_CASE("a key that is given is used") {
  FakeGrid grid;
  const Key16 key(std::array<std::uint8_t, 16>{1, 2, 3});
  auto done = put(context(grid), pattern(100), key);
  REQUIRE(done.has_value());
  CHECK(done->cap.as<ChkCap>()->key == key);
}

TEST_CASE("full and read-only servers get nothing while others suffice") {
  FakeGrid grid;
  grid.server(0).faults.full = true;
  grid.server(1).faults.read_only = true;
  grid.server(2).faults.max_share_size = 10;
  const auto data = pattern(5000);
  auto done = put(context(grid), data);
  REQUIRE(done.has_value());
  CHECK(done->report.happiness == 7);
  CHECK(done->report.shares_sent == 10);
  for (std::size_t s : {0, 1, 2}) CHECK(grid.server(s).shares(index_of(*done)).empty());
  CHECK(grid.server(1).calls(Verb::allocate) == 0);
  check_shares(grid, data, *done, {});
}

TEST_CASE("shares on read-only servers count") {
  FakeGrid grid;
  const auto data = pattern(5000);
  auto first = put(context(grid), data);
  REQUIRE(first.has_value());
  for (std::size_t s = 0; s < 5; ++s) grid.server(s).faults.read_only = true;
  auto second = put(context(grid), data);
  REQUIRE(second.has_value());
  CHECK(second->report.happiness == 10);
  CHECK(second->report.shares_sent == 0);
}

TEST_CASE("an unhappy upload says which servers were the trouble and leaves nothing") {
  FakeGrid grid({.servers = 8});
  grid.server(0).faults.full = true;
  grid.server(1).faults.broken = Errc::wrong_certificate;
  grid.server(2).set_gone();
  grid.server(3).faults.stalled = true;
  auto done = put(context(grid), pattern(5000));
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().code == Errc::unhappy);
  const auto& text = done.error().context;
  INFO(text);
  CHECK(text.find("needs 7 distinct servers, 4 of 8 are usable") != std::string::npos);
  CHECK(text.find("server0 is full") != std::string::npos);
  CHECK(text.find("server1 showed another certificate") != std::string::npos);
  CHECK(text.find("server2 is unreachable") != std::string::npos);
  CHECK(text.find("server3 timed out") != std::string::npos);
  CHECK(grid.unfinished_uploads() == 0);
}

TEST_CASE("a silent server costs a short wait and no more") {
  FakeGrid grid;
  grid.server(4).faults.stalled = true;
  auto c = context(grid);
  c.limits.survey = 1h;
  auto done = put(c, pattern(5000));
  REQUIRE(done.has_value());
  CHECK(done->report.happiness == 9);
}

TEST_CASE("a server that falls silent while it is written to is dropped") {
  FakeGrid grid;
  grid.server(4).faults.stalled = true;
  grid.server(4).faults.only = {Verb::write};
  auto c = context(grid);
  c.limits.send.deadline = 50ms;
  auto done = put(c, pattern(5000));
  REQUIRE(done.has_value());
  CHECK(done->report.happiness == 9);
  CHECK(grid.unfinished_uploads() == 0);
}

TEST_CASE("further servers are asked when the first 2n do not suffice") {
  FakeGrid grid({.servers = 9});
  const Encoding encoding{.k = 1, .happy = 2, .n = 2, .max_segment_size = 1000};
  const auto data = pattern(500);
  const Key16 key(std::array<std::uint8_t, 16>{9});
  const auto si = storage_index_of(key);
  for (std::size_t i = 0; i < 4; ++i) grid.permuted(si, i).set_gone();
  auto done = put(context(grid, encoding), data, key);
  REQUIRE(done.has_value());
  CHECK(done->report.happiness == 2);
}

TEST_CASE("an upload that fails at any step leaves no half-written share") {
  const auto data = pattern(3000);
  for (auto lost : {Lost::request, Lost::reply}) {
    for (auto happy : {10u, 7u}) {
      std::uint64_t failed = 0, succeeded = 0;
      for (std::uint64_t step = 0;; ++step) {
        FakeGrid grid({.servers = 10, .fail_at = step, .lost = lost});
        const Encoding encoding{.k = 3, .happy = happy, .n = 10, .max_segment_size = 1000};
        auto c = context(grid, encoding);
        c.limits.send.piece = 300;
        auto done = put(c, data);
        INFO("step " << step);
        CHECK(grid.unfinished_uploads() == 0);
        ++(done ? succeeded : failed);
        if (done) check_shares(grid, data, *done, encoding);
        if (happy == 7) CHECK(done.has_value());
        if (!grid.steps.fired) break;
      }
      CHECK(succeeded > 0);
      if (happy == 10) CHECK(failed > 30);
    }
  }
}

TEST_CASE("servers that die one after the other end an upload only when too few are left") {
  for (std::size_t dead = 0; dead <= 10; ++dead) {
    FakeGrid grid;
    // Each survives the survey and the allocation.
    for (std::size_t s = 0; s < dead; ++s) grid.server(s).die_at(3);
    auto done = put(context(grid), pattern(3000));
    CHECK(done.has_value() == (dead <= 3));
    if (!done) CHECK(done.error().code == Errc::unhappy);
    for (std::size_t s = dead; s < 10; ++s) CHECK(grid.server(s).unfinished_uploads() == 0);
  }
}

namespace {
Task<Result<>> failing_read(std::uint64_t at, std::uint64_t offset, MutableBytes out) {
  std::fill(out.begin(), out.end(), std::uint8_t{1});
  if (offset >= at) co_return fail(Errc::io, "the disk");
  co_return Result<>{};
}
Task<> put_and_store(UploadContext c, const Source& source,
                     std::optional<Result<UploadResult>>& out) {
  out = co_await upload(std::move(c), source, Key16{});
}
Task<> cancel_upload(FakeGrid& grid, std::optional<Result<UploadResult>>& out, Duration after) {
  const auto source = memory_source(pattern(30'000));
  auto c = context(grid, {.k = 3, .happy = 7, .n = 10, .max_segment_size = 1000});
  c.limits.send.piece = 500;
  TaskGroup group(co_await asio::this_coro::executor);
  group.spawn(put_and_store(c, source, out));
  co_await sleep_for(after);
  group.cancel();
  co_await group.join();
}
}  // namespace

namespace {
Task<> put_both(FakeGrid& grid, std::optional<Result<UploadResult>>& one,
                std::optional<Result<UploadResult>>& other) {
  const auto source = memory_source(pattern(30'000));
  auto c = context(grid);
  c.limits.contention = 1h;
  TaskGroup group(co_await asio::this_coro::executor);
  group.spawn(put_and_store(c, source, one));
  group.spawn(put_and_store(c, source, other));
  co_await group.join();
}
}  // namespace

TEST_CASE("two uploads of one file at the same time end with one set of shares and one cap") {
  FakeGrid grid;
  for (std::size_t s = 0; s < 10; ++s) grid.server(s).faults.delay = 1ms;
  std::optional<Result<UploadResult>> one, other;
  run(put_both(grid, one, other));
  REQUIRE(one->has_value());
  REQUIRE(other->has_value());
  CHECK((*one)->cap == (*other)->cap);
  CHECK((*one)->report.happiness >= 7);
  CHECK((*other)->report.happiness >= 7);
  CHECK(grid.unfinished_uploads() == 0);
  CHECK(grid.share_map(index_of(**one)).size() == 10);
}

TEST_CASE("a source that fails ends the upload with its error and leaves nothing") {
  FakeGrid grid;
  Source source;
  source.size = 5000;
  source.read = [](std::uint64_t offset, MutableBytes out) {
    return failing_read(3000, offset, out);
  };
  auto c = context(grid, {.k = 3, .happy = 7, .n = 10, .max_segment_size = 1000});
  auto done = run(upload(c, source, Key16{}));
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error() == Error{Errc::io, "the disk"});
  CHECK(grid.unfinished_uploads() == 0);
}

TEST_CASE("an upload that is cancelled gives back what it had allocated") {
  for (auto after : {0ms, 1ms, 3ms, 10ms, 20ms}) {
    FakeGrid grid;
    for (std::size_t s = 0; s < 10; ++s) {
      grid.server(s).faults.delay = 2ms;
      grid.server(s).faults.overtaken = true;
    }
    std::optional<Result<UploadResult>> done;
    run(cancel_upload(grid, done, after));
    REQUIRE(done.has_value());
    if (!*done) CHECK(done->error().code == Errc::cancelled);
    for (std::size_t s = 0; s < 10; ++s) grid.server(s).arrive_late();
    CHECK(grid.unfinished_uploads() == 0);
  }
}
