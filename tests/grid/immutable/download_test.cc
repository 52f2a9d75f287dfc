// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <random>

#include "encode_helper.h"
#include "grid/caps/keys.h"
#include "grid/immutable/chk_reader.h"
#include "grid/immutable/chk_stream.h"
#include "grid/immutable/ueb.h"
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

DownloadLimits quick() {
  DownloadLimits limits;
  limits.chooser = {
      .patience = 30ms, .least_patience = 30ms, .most_patience = 30ms, .retry_after = 20ms};
  limits.finder = {.at_once = 10, .patience = 30ms, .deadline = 200ms, .ask_again = 20ms};
  limits.read.deadline = 200ms;
  return limits;
}

// For tests that count calls: nobody seems to be slow, however busy the machine is.
DownloadLimits unhurried() {
  DownloadLimits limits;
  limits.chooser.patience = limits.chooser.least_patience = limits.chooser.most_patience = 1h;
  return limits;
}

const Key16 the_key(std::array<std::uint8_t, 16>{7, 7, 7});

struct Put {
  ChkCap cap;
  StorageIndex si;
  EncodedFile file;
  std::vector<Bytes> shares;
};

Put encode(const Bytes& data, Encoding encoding,
           std::optional<LayoutVersion> force = std::nullopt) {
  const auto g = Geometry::for_upload(data.size(), encoding).value();
  auto made = run(grid::test::encode_shares(pool(), data, g, the_key, force)).value();
  return {{the_key, made.file.ueb_hash, g.k, g.n, g.size},
          storage_index_of(the_key),
          made.file,
          made.shares};
}

// Share i on server i modulo the number of servers.
Put put(FakeGrid& grid, const Bytes& data, Encoding encoding,
        std::optional<LayoutVersion> force = std::nullopt) {
  auto out = encode(data, encoding, force);
  for (std::uint64_t i = 0; i < out.shares.size(); ++i) {
    grid.server(i % grid.size()).put_share(out.si, {i}, out.shares[i]);
  }
  return out;
}

Task<Result<Bytes>> read_task(FakeGrid& grid, ChkCap cap, std::uint64_t offset,
                              std::uint64_t length, DownloadLimits limits) {
  auto file = std::make_shared<ImmutableFile>(co_await asio::this_coro::executor, grid.roster(),
                                              pool(), verifier_of(cap), limits);
  ChkReader reader(file, cap.key, pool());
  auto data = co_await reader.read(offset, length);
  co_await file->close();
  co_return data;
}

Result<Bytes> get(FakeGrid& grid, const ChkCap& cap, std::uint64_t offset = 0,
                  std::uint64_t length = ~std::uint64_t{0}, DownloadLimits limits = quick()) {
  return run(read_task(grid, cap, offset, length, limits));
}

constexpr Encoding small_segments{.k = 3, .happy = 1, .n = 10, .max_segment_size = 100};

}  // namespace

TEST_CASE("files of many sizes and codes are read back") {
  for (std::size_t size : {1, 2, 56, 99, 100, 101, 102, 103, 1000, 4096, 30'011}) {
    for (auto [k, n] : {std::pair{1, 1}, {1, 4}, {3, 10}, {4, 4}, {7, 22}}) {
      FakeGrid grid({.servers = 5});
      const auto data = pattern(size);
      const auto made = put(grid, data,
                            {.k = static_cast<std::uint64_t>(k),
                             .happy = 1,
                             .n = static_cast<std::uint64_t>(n),
                             .max_segment_size = 100});
      CHECK(get(grid, made.cap) == data);
    }
  }
}

TEST_CASE("any k shares give the file back") {
  const auto data = pattern(500);
  const auto made = encode(data, {.k = 3, .happy = 1, .n = 6, .max_segment_size = 200});
  int subsets = 0;
  for (unsigned set = 0; set < 64; ++set) {
    if (__builtin_popcount(set) != 3) continue;
    FakeGrid grid({.servers = 6});
    for (std::uint64_t i = 0; i < 6; ++i) {
      if (set >> i & 1) grid.server(5 - i).put_share(made.si, {i}, made.shares[i]);
    }
    CHECK(get(grid, made.cap) == data);
    ++subsets;
  }
  CHECK(subsets == 20);
}

TEST_CASE("any range of a file can be read") {
  FakeGrid grid({.servers = 4});
  const auto data = pattern(1000);
  const auto made = put(grid, data, small_segments);
  std::mt19937 rng(1);
  for (int i = 0; i < 60; ++i) {
    const std::uint64_t offset = rng() % 1010, length = rng() % 500;
    Bytes expected;
    if (offset < 1000) {
      expected =
          to_bytes(ByteView(data).subspan(offset, std::min<std::uint64_t>(length, 1000 - offset)));
    }
    CHECK(get(grid, made.cap, offset, length) == expected);
  }
  CHECK(get(grid, made.cap, ~std::uint64_t{0}, 5) == Bytes());
}

TEST_CASE("shares of either layout are read") {
  for (auto version : {LayoutVersion::v1, LayoutVersion::v2}) {
    FakeGrid grid({.servers = 4});
    const auto data = pattern(1000);
    const auto made = put(grid, data, small_segments, version);
    CHECK(get(grid, made.cap) == data);
  }
}

TEST_CASE("a small file takes one question to each server and one read of each of k shares") {
  FakeGrid grid;
  const auto made = put(grid, pattern(5000), {});
  CHECK(get(grid, made.cap, 0, 5000, unhurried()) == pattern(5000));
  CHECK(grid.calls(Verb::list) == 10);
  CHECK(grid.calls(Verb::read) == 3);
}

TEST_CASE("a segment of a large file takes two reads of each share, the next ones take one") {
  FakeGrid grid({.servers = 3});
  const auto data = pattern(6'000'000);
  const auto made = put(grid, data, {.k = 3, .happy = 1, .n = 3, .max_segment_size = 1 << 20});
  CHECK(get(grid, made.cap, 3'000'000, 1000, unhurried()) ==
        to_bytes(ByteView(data).subspan(3'000'000, 1000)));
  CHECK(grid.calls(Verb::read) == 9);  // header, block, and all hashes
  grid.reset_counters();
  CHECK(get(grid, made.cap, 0, data.size(), unhurried()) == data);
  CHECK(grid.calls(Verb::read) <= 3 * (2 + 5));
}

TEST_CASE("a file whose hash trees are too large to read at once is read back") {
  FakeGrid grid({.servers = 3});
  const auto data = pattern(200'000);
  const auto made = put(grid, data, {.k = 2, .happy = 1, .n = 3, .max_segment_size = 64});
  CHECK(made.shares[0].size() > (500 << 10));
  CHECK(get(grid, made.cap, 150'000, 20'000) == to_bytes(ByteView(data).subspan(150'000, 20'000)));
}

TEST_CASE("all shares on one server are enough") {
  FakeGrid grid;
  const auto data = pattern(1000);
  const auto made = put(grid, data, small_segments);
  grid.gather(made.si, 6);
  CHECK(get(grid, made.cap) == data);
}

TEST_CASE("a bit flipped anywhere in a share never changes what is read") {
  const auto data = pattern(230);
  const Encoding encoding{.k = 2, .happy = 1, .n = 3, .max_segment_size = 100};
  const auto made = encode(data, encoding);
  const auto& layout = made.file.layout;
  int reported = 0;
  for (std::uint64_t at = 0; at < made.shares[0].size(); ++at) {
    FakeGrid grid({.servers = 3});
    for (std::uint64_t i = 0; i < 3; ++i) grid.server(i).put_share(made.si, {i}, made.shares[i]);
    REQUIRE(grid.server(0).flip_bit(made.si, {0}, at, static_cast<unsigned>(at)));
    INFO("byte " << at);
    CHECK(get(grid, made.cap) == data);
    reported += grid.corruption_reports() > 0;
    // The same with nothing to fall back on: right, or an error.
    grid.server(2).set_gone();
    auto alone = get(grid, made.cap);
    if (alone) {
      CHECK(*alone == data);
    } else {
      CHECK(alone.error().code == Errc::not_enough_shares);
    }
    // Blocks of the share are certainly looked at, except its unused fields.
    const bool unused = at >= 4 && at < 12;
    const bool plaintext =
        (at >= 16 && at < 20) || (at >= layout.plaintext_tree && at < layout.ciphertext_tree);
    if (at >= layout.data && at < layout.plaintext_tree) CHECK_FALSE(alone.has_value());
    if (unused || plaintext) CHECK(alone.has_value());
  }
  CHECK(reported > 300);
}

TEST_CASE("a share that lies is reported once, in words that say where") {
  FakeGrid grid({.servers = 10});
  const auto data = pattern(1000);
  const auto made = put(grid, data, small_segments);
  // Block 3 of share 0.
  grid.server(0).flip_bit(made.si, {0}, 36 + 3 * 34 + 5);
  CHECK(get(grid, made.cap) == data);
  REQUIRE(grid.server(0).corruption_reports().size() <= 1);
  for (auto& report : grid.server(0).corruption_reports()) {
    CHECK(report.number == ShareNo{0});
    CHECK(report.reason == "corruption in share[138-172): block hash mismatch");
  }
  // Make sure that share 0 is read.
  for (std::size_t s = 3; s < 10; ++s) grid.server(s).set_gone();
  CHECK_FALSE(get(grid, made.cap));
  CHECK(grid.server(0).corruption_reports().size() >= 1);
}

TEST_CASE("shares that are each damaged in another place still give the file") {
  FakeGrid grid({.servers = 4});
  const auto data = pattern(1000);
  const auto made = put(grid, data, {.k = 3, .happy = 1, .n = 4, .max_segment_size = 100});
  // Share i has a bad block i; every segment has three good blocks.
  for (std::uint64_t i = 0; i < 4; ++i) grid.server(i).flip_bit(made.si, {i}, 36 + i * 34);
  CHECK(get(grid, made.cap) == data);
}

TEST_CASE("a share under another number is refused") {
  FakeGrid grid({.servers = 10});
  const auto data = pattern(1000);
  const auto made = encode(data, small_segments);
  for (std::uint64_t i = 0; i < 10; ++i) {
    grid.server(i).put_share(made.si, {i}, made.shares[i < 7 ? (i + 1) % 7 : i]);
  }
  CHECK(get(grid, made.cap) == data);
  for (std::size_t s = 7; s < 10; ++s) CHECK(grid.server(s).corruption_reports().empty());
  grid.server(9).set_gone();
  auto alone = get(grid, made.cap);
  REQUIRE_FALSE(alone.has_value());
  CHECK(alone.error().code == Errc::not_enough_shares);
}

TEST_CASE("shares of another file are refused") {
  FakeGrid grid({.servers = 6});
  const auto data = pattern(1000);
  const auto made = put(grid, data, {.k = 3, .happy = 1, .n = 6, .max_segment_size = 100});
  auto other = data;
  other[500] ^= 1;
  const auto foreign = encode(other, {.k = 3, .happy = 1, .n = 6, .max_segment_size = 100});
  for (std::uint64_t i = 0; i < 3; ++i) grid.server(i).put_share(made.si, {i}, foreign.shares[i]);
  CHECK(get(grid, made.cap) == data);
}

TEST_CASE("truncated and hostile shares are put aside") {
  const auto data = pattern(1000);
  const auto made = encode(data, small_segments);
  std::mt19937 rng(2);
  std::vector<Bytes> hostile{{}, {0}, Bytes(3), Bytes(4), Bytes(5000, 0xff), Bytes(100'000)};
  for (std::size_t n = 0; n < made.shares[0].size(); n += 97) {
    hostile.push_back(to_bytes(ByteView(made.shares[0]).first(n)));
  }
  for (int i = 0; i < 60; ++i) {
    // Wild offsets in an otherwise good header.
    auto share = made.shares[0];
    const auto at = 4 * (rng() % 9);
    put_be<std::uint32_t>(share.data() + at, rng() % 3 ? rng() % 5000 : rng());
    hostile.push_back(std::move(share));
  }
  auto wide = made.shares[0];
  put_be<std::uint32_t>(wide.data() + made.file.layout.uri_extension, 0xffffffff);
  hostile.push_back(wide);
  for (auto& share : hostile) {
    FakeGrid grid({.servers = 10});
    for (std::uint64_t i = 0; i < 10; ++i) {
      grid.server(i).put_share(made.si, {i}, i < 7 ? share : made.shares[i]);
    }
    CHECK(get(grid, made.cap) == data);
  }
}

TEST_CASE("a download that loses any one call still gives the file") {
  const auto data = pattern(1000);
  for (auto lost : {Lost::request, Lost::reply}) {
    std::uint64_t step = 0;
    for (;; ++step) {
      FakeGrid grid({.servers = 10, .fail_at = step, .lost = lost});
      const auto made = put(grid, data, small_segments);
      INFO("step " << step);
      CHECK(get(grid, made.cap) == data);
      if (!grid.steps.fired) break;
    }
    CHECK(step > 10);
  }
}

TEST_CASE("with exactly k shares a lost call is an error or is survived, and never wrong") {
  const auto data = pattern(1000);
  for (std::uint64_t step = 0;; ++step) {
    FakeGrid grid({.servers = 3, .fail_at = step});
    const auto made = put(grid, data, {.k = 3, .happy = 1, .n = 3, .max_segment_size = 100});
    auto got = get(grid, made.cap);
    if (got) {
      CHECK(*got == data);
    } else {
      CHECK(got.error().code == Errc::not_enough_shares);
    }
    if (!grid.steps.fired) break;
  }
}

TEST_CASE("servers that never answer do not hold a download up") {
  const auto data = pattern(1000);
  for (const bool reads_only : {false, true}) {
    FakeGrid grid;
    const auto made = put(grid, data, small_segments);
    for (std::size_t s = 0; s < 7; ++s) {
      grid.server(s).faults.stalled = true;
      if (reads_only) grid.server(s).faults.only = {Verb::read};
    }
    const auto begin = Clock::now();
    auto limits = quick();
    limits.read.deadline = 1h;
    limits.finder.deadline = 1h;
    CHECK(get(grid, made.cap, 0, ~std::uint64_t{0}, limits) == data);
    CHECK(Clock::now() - begin < 5s);
  }
}

namespace {
// The file read in order, with servers that go bad once its beginning is there.
Task<Result<>> read_through(FakeGrid& grid, const Put& made, std::function<void()> spoil) {
  auto executor = co_await asio::this_coro::executor;
  auto limits = quick();
  // On a busy machine good servers may seem to be silent for a moment.
  limits.chooser.patience = limits.chooser.least_patience = limits.chooser.most_patience = 1s;
  limits.read.deadline = 1h;
  limits.finder.deadline = 1h;
  auto file = std::make_shared<ImmutableFile>(executor, grid.roster(), pool(),
                                              verifier_of(made.cap), limits);
  ChkReader reader(file, the_key, pool());
  Bytes got;
  Result<> outcome;
  while (got.size() < made.cap.size && outcome) {
    auto data = co_await reader.read(got.size(), 800'000);  // four segments at once
    if (data) {
      append(got, *data);
    } else {
      outcome = std::unexpected(std::move(data).error());
    }
    if (spoil) std::exchange(spoil, nullptr)();
  }
  co_await file->close();
  if (outcome && got != pattern(made.cap.size)) outcome = fail(Errc::internal, "other bytes");
  co_return outcome;
}
}  // namespace

TEST_CASE("with n-k servers gone bad on the way hardly anything is asked of them") {
  constexpr Encoding large{.k = 3, .happy = 1, .n = 10, .max_segment_size = 200'000};
  const auto data = pattern(20'000'000);
  const auto made = encode(data, large);
  for (const auto* how : {"silent", "slow", "lying"}) {
    FakeGrid grid;
    for (std::uint64_t i = 0; i < 10; ++i) grid.server(i).put_share(made.si, {i}, made.shares[i]);
    const auto spoil = [&] {
      grid.reset_counters();
      for (std::size_t s = 0; s < 7; ++s) {
        auto& server = grid.server(s);
        if (how == std::string_view("silent")) server.faults.stalled = true;
        if (how == std::string_view("slow")) server.faults.delay = 5s;
        if (how != std::string_view("lying")) continue;
        for (std::uint64_t at = 500; at < made.shares[s].size(); at += 60'000) {
          server.flip_bit(made.si, {s}, at);
        }
      }
    };
    INFO(how);
    CHECK(run(read_through(grid, made, spoil)));
    // What was on its way, and one attempt more; not every block of every segment.
    for (std::size_t s = 0; s < 7; ++s) {
      INFO(s << ": " << grid.server(s).calls(Verb::read));
      CHECK(grid.server(s).calls(Verb::read) < 45);
    }
    for (std::size_t s = 7; s < 10; ++s) CHECK(grid.server(s).calls(Verb::read) > 50);
  }
}

namespace {
// What a stream gives, at most `pieces` of it; then it is closed, whatever is on its way.
Task<Result<Bytes>> stream_task(FakeGrid& grid, ChkCap cap, std::uint64_t offset,
                                std::uint64_t length, std::size_t pieces) {
  auto executor = co_await asio::this_coro::executor;
  auto file =
      std::make_shared<ImmutableFile>(executor, grid.roster(), pool(), verifier_of(cap), quick());
  auto stream = std::make_unique<ChkStream>(executor, file, cap.key, pool(), offset, length);
  Result<Bytes> out = Bytes();
  for (; pieces > 0 && out; --pieces) {
    auto data = co_await stream->next();
    if (!data) {
      out = std::unexpected(std::move(data).error());
    } else if (data->empty()) {
      break;
    } else {
      append(*out, *data);
    }
  }
  co_await stream->close();
  co_await file->close();
  co_return out;
}
}  // namespace

TEST_CASE("a stream gives any stretch of a file in order, and can be left at any time") {
  FakeGrid grid({.servers = 10});
  for (std::size_t s = 0; s < 10; ++s) grid.server(s).faults.delay = std::chrono::milliseconds(s);
  constexpr std::size_t size = 9'000'001;  // more than is on its way at first
  const auto data = pattern(size);
  const auto made = put(grid, data, {.k = 3, .happy = 1, .n = 10, .max_segment_size = 300'000});
  const auto part = [&](std::uint64_t offset, std::uint64_t length) {
    return to_bytes(ByteView(data).subspan(offset, std::min<std::uint64_t>(length, size - offset)));
  };
  for (auto [offset, length] : {std::pair<std::uint64_t, std::uint64_t>{0, UINT64_MAX},
                                {1, 299'999},
                                {299'999, 2},
                                {5'000'000, 700'000},
                                {size - 1, 5},
                                {size, 5}}) {
    CHECK(run(stream_task(grid, made.cap, offset, length, 1000)) == part(offset, length));
  }
  for (std::size_t pieces : {0, 1, 3}) {
    CHECK(run(stream_task(grid, made.cap, 0, UINT64_MAX, pieces)) == part(0, pieces * 300'000));
  }
  for (std::size_t s = 0; s < 10; ++s) grid.server(s).set_gone();
  CHECK(run(stream_task(grid, made.cap, 0, UINT64_MAX, 1000)).error().code ==
        Errc::not_enough_shares);
}

TEST_CASE("with too few servers that answer the deadline ends the wait") {
  FakeGrid grid({.servers = 3});
  const auto made = put(grid, pattern(1000), {.k = 3, .happy = 1, .n = 3, .max_segment_size = 100});
  grid.server(0).faults.stalled = true;
  auto got = get(grid, made.cap);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().code == Errc::not_enough_shares);
  CHECK(got.error().context.find("server0: " + std::string(describe(Errc::timed_out))) !=
        std::string::npos);
}

TEST_CASE("slow servers are enough when there are no others") {
  FakeGrid grid({.servers = 3});
  const auto data = pattern(300);
  const auto made = put(grid, data, {.k = 3, .happy = 1, .n = 3, .max_segment_size = 100});
  for (std::size_t s = 0; s < 3; ++s) grid.server(s).faults.delay = 60ms;
  auto limits = quick();
  limits.read.deadline = 10s;
  limits.finder.deadline = 10s;
  CHECK(get(grid, made.cap, 0, ~std::uint64_t{0}, limits) == data);
}

TEST_CASE("an error says what was found where and what was wrong with it") {
  FakeGrid grid({.servers = 4});
  const auto made = put(grid, pattern(300), {.k = 3, .happy = 1, .n = 4, .max_segment_size = 100});
  grid.server(0).flip_bit(made.si, {0}, 36);
  grid.server(1).delete_share(made.si, {1});
  grid.server(2).set_gone();
  auto got = get(grid, made.cap);
  REQUIRE_FALSE(got.has_value());
  const auto& text = got.error().context;
  INFO(text);
  CHECK(got.error().code == Errc::not_enough_shares);
  CHECK(text.find("needs 3 shares, 2 found on 4 servers") != std::string::npos);
  CHECK(text.find("share 3 on server3") != std::string::npos);
  CHECK(text.find("server2: " + std::string(describe(Errc::unreachable))) != std::string::npos);
}

TEST_CASE("without servers the error is no_servers") {
  FakeGrid grid({.servers = 0});
  auto got = get(grid, encode(pattern(300), small_segments).cap);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().code == Errc::no_servers);
}

TEST_CASE("caps that no file can have are refused") {
  FakeGrid grid;
  const auto good = put(grid, pattern(300), small_segments).cap;
  auto refused = [&](auto change) {
    auto cap = good;
    change(cap);
    auto file = get(grid, cap, 0, 10);
    return !file && file.error().code == Errc::bad_cap;
  };
  CHECK(refused([](ChkCap& c) { c.k = 0; }));
  CHECK(refused([](ChkCap& c) { c.k = 11; }));
  CHECK(refused([](ChkCap& c) { c.n = 257; }));
  CHECK(refused([](ChkCap& c) { c.size = ~std::uint64_t{0}; }));
  CHECK(grid.total_calls() == 0);
  // Other sizes than the uploader's are found out by the hashes.
  for (std::uint64_t size : {std::uint64_t{1}, std::uint64_t{299}, std::uint64_t{301},
                             std::uint64_t{1} << 40, std::uint64_t{1} << 62}) {
    auto cap = good;
    cap.size = size;
    auto got = get(grid, cap, 0, 10);
    if (got) CHECK(*got == to_bytes(ByteView(pattern(300)).first(got->size())));
  }
}

namespace {

Task<> one_segment(ImmutableFile& file, SegmentNo n, Result<std::shared_ptr<const Bytes>>& out) {
  out = co_await file.segment(n);
}

Task<> many_callers(FakeGrid& grid, ChkCap cap) {
  auto executor = co_await asio::this_coro::executor;
  ImmutableFile file(executor, grid.roster(), pool(), verifier_of(cap), quick());
  std::vector<Result<std::shared_ptr<const Bytes>>> out(30);
  TaskGroup group(executor);
  for (std::uint64_t i = 0; i < 30; ++i) group.spawn(one_segment(file, {i % 10}, out[i]));
  co_await group.join();
  for (std::uint64_t i = 0; i < 30; ++i) {
    REQUIRE(out[i].has_value());
    // One fetch for all who ask for the same segment at the same time.
    CHECK(*out[i] == *out[i % 10]);
  }
  auto none = co_await file.segment({10});
  CHECK_FALSE(none.has_value());
  auto g = co_await file.geometry();
  CHECK(g->num_segments == 10);
  co_await file.close();
  auto after = co_await file.segment({0});
  CHECK(after.error().code == Errc::closed);
}

Task<> give_up(FakeGrid& grid, ChkCap cap) {
  auto executor = co_await asio::this_coro::executor;
  auto limits = quick();
  limits.read.deadline = 1h;
  limits.finder.deadline = 1h;
  ImmutableFile file(executor, grid.roster(), pool(), verifier_of(cap), limits);
  Result<std::shared_ptr<const Bytes>> first, second;
  TaskGroup patient(executor), impatient(executor);
  impatient.spawn(one_segment(file, {1}, first));
  patient.spawn(one_segment(file, {1}, second));
  co_await sleep_for(20ms);
  impatient.cancel();
  co_await impatient.join();
  CHECK(first.error().code == Errc::cancelled);
  for (std::size_t s = 0; s < grid.size(); ++s) grid.server(s).release();
  co_await patient.join();
  CHECK(second.has_value());
  // Whoever gives up last takes the fetch with him; the next one starts anew.
  for (std::size_t s = 0; s < grid.size(); ++s) grid.server(s).faults.stalled = true;
  TaskGroup third_group(executor);
  Result<std::shared_ptr<const Bytes>> third;
  third_group.spawn(one_segment(file, {30}, third));
  co_await sleep_for(20ms);
  third_group.cancel();
  co_await third_group.join();
  CHECK(third.error().code == Errc::cancelled);
  for (std::size_t s = 0; s < grid.size(); ++s) grid.server(s).release();
  auto again = co_await file.segment({30});
  CHECK(again.has_value());
  co_await file.close();
}

Task<> close_early(FakeGrid& grid, ChkCap cap, Duration after) {
  auto executor = co_await asio::this_coro::executor;
  ImmutableFile file(executor, grid.roster(), pool(), verifier_of(cap), quick());
  std::vector<Result<std::shared_ptr<const Bytes>>> out(10);
  TaskGroup group(executor);
  for (std::uint64_t i = 0; i < 10; ++i) group.spawn(one_segment(file, {i}, out[i]));
  co_await sleep_for(after);
  co_await file.close();
  co_await group.join();
  for (auto& result : out) {
    if (!result) CHECK(result.error().code == Errc::closed);
  }
}

Task<> come_back(FakeGrid& grid, ChkCap cap) {
  auto executor = co_await asio::this_coro::executor;
  ImmutableFile file(executor, grid.roster(), pool(), verifier_of(cap), quick());
  for (std::size_t s = 0; s < grid.size(); ++s) grid.server(s).set_gone();
  auto none = co_await file.segment({0});
  CHECK(none.error().code == Errc::not_enough_shares);
  for (std::size_t s = 0; s < grid.size(); ++s) grid.server(s).set_gone(false);
  co_await sleep_for(25ms);
  auto first = co_await file.segment({0});
  CHECK(first.has_value());
  for (std::size_t s = 0; s < grid.size(); ++s) grid.server(s).set_gone();
  auto second = co_await file.segment({30});
  CHECK(second.error().code == Errc::not_enough_shares);
  for (std::size_t s = 0; s < grid.size(); ++s) grid.server(s).set_gone(false);
  co_await sleep_for(25ms);
  auto third = co_await file.segment({30});
  CHECK(third.has_value());
  co_await file.close();
}

}  // namespace

TEST_CASE("many callers share fetches, and different segments are fetched at once") {
  FakeGrid grid;
  for (std::size_t s = 0; s < 10; ++s) grid.server(s).faults.delay = 1ms;
  const auto made = put(grid, pattern(1000), small_segments);
  run(many_callers(grid, made.cap));
}

TEST_CASE("a caller who gives up takes nothing from others") {
  FakeGrid grid;
  // Too large for the first read to bring everything.
  const auto made =
      put(grid, pattern(4'000'000), {.k = 3, .happy = 1, .n = 10, .max_segment_size = 100'000});
  for (std::size_t s = 0; s < 10; ++s) grid.server(s).faults.stalled = true;
  run(give_up(grid, made.cap));
}

TEST_CASE("a file can be closed at any time") {
  for (auto after : {0ms, 1ms, 2ms, 5ms, 10ms, 20ms}) {
    FakeGrid grid;
    for (std::size_t s = 0; s < 10; ++s) grid.server(s).faults.delay = 2ms;
    const auto made = put(grid, pattern(1000), small_segments);
    run(close_early(grid, made.cap, after));
  }
}

TEST_CASE("servers that come back are used again by a file that is open") {
  FakeGrid grid;
  const auto made =
      put(grid, pattern(4'000'000), {.k = 3, .happy = 1, .n = 10, .max_segment_size = 100'000});
  run(come_back(grid, made.cap));
}

TEST_CASE("an uploader who encoded inconsistently is found out, again and again") {
  // Blocks that agree with their hashes, and a ciphertext root that does not belong to them.
  const auto data = pattern(300);
  const Encoding encoding{.k = 1, .happy = 1, .n = 1, .max_segment_size = 1000};
  const auto made = encode(data, encoding);
  auto other = data;
  other[5] ^= 1;
  const auto foreign = encode(other, encoding);
  const auto& layout = made.file.layout;
  auto share = made.shares[0];
  std::copy_n(foreign.shares[0].begin() + static_cast<std::ptrdiff_t>(layout.ciphertext_tree), 32,
              share.begin() + static_cast<std::ptrdiff_t>(layout.ciphertext_tree));
  const auto ueb = Ueb::of(made.file.geometry, made.file.ciphertext_hash,
                           foreign.file.ciphertext_tree[0], made.file.share_tree[0])
                       .serialize();
  std::copy(ueb.begin(), ueb.end(), share.end() - static_cast<std::ptrdiff_t>(ueb.size()));
  FakeGrid grid({.servers = 1});
  grid.server(0).put_share(made.si, {0}, share);
  auto cap = made.cap;
  cap.ueb_hash = ueb_hash(ueb);
  for (int i = 0; i < 2; ++i) {
    auto got = get(grid, cap);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().code == Errc::corrupt);
    CHECK(got.error().context.find("inconsistently") != std::string::npos);
  }
}
