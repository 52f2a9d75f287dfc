// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "encode_helper.h"
#include "grid/caps/keys.h"
#include "grid/immutable/source_sum.h"
#include "grid/immutable/uploader.h"
#include "tests/fake/fake_grid.h"

// Uploads whose servers fail on the way, sources that can be read once, and interrupted attempts.

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

constexpr Encoding small_segments{.k = 3, .happy = 7, .n = 10, .max_segment_size = 1000};
const Key16 the_key(std::array<std::uint8_t, 16>{5});

UploadContext context(FakeGrid& grid, Encoding encoding = small_segments) {
  UploadContext out{grid.roster(), pool(), {}, encoding, to_bytes("secret")};
  out.limits.survey = 300ms;
  out.limits.stragglers = 30ms;
  out.limits.allocate = 300ms;
  out.limits.contention = 0ms;
  out.limits.send.deadline = 100ms;
  out.limits.send.least_deadline = 50ms;
  out.limits.send.piece = 500;
  return out;
}

Result<UploadResult> put(UploadContext c, const Source& source,
                         std::optional<Key16> key = the_key) {
  return run(upload(std::move(c), source, key));
}

// Every share on the grid is byte for byte what encoding gives, and all n are there.
void check_shares(FakeGrid& grid, const Bytes& data, const Encoding& encoding,
                  std::size_t numbers = 10) {
  const auto g = Geometry::for_upload(data.size(), encoding).value();
  const auto expected = run(grid::test::encode_shares(pool(), data, g, the_key)).value();
  const auto si = storage_index_of(the_key);
  CHECK(grid.share_map(si).size() == numbers);
  for (std::size_t s = 0; s < grid.size(); ++s) {
    for (auto number : grid.server(s).shares(si)) {
      CHECK(grid.server(s).get_share(si, number) == expected.shares[number.value]);
    }
  }
}

// Gives each byte once and in order, and notices who asks otherwise.
struct Pipe {
  Bytes data;
  std::uint64_t at = 0;
};
Task<Result<>> read_pipe(std::shared_ptr<Pipe> pipe, std::uint64_t offset, MutableBytes out) {
  if (offset != pipe->at) co_return fail(Errc::internal, "a pipe was read out of order");
  pipe->at += out.size();
  std::copy_n(pipe->data.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  co_return Result<>{};
}
Source pipe_source(Bytes data) {
  Source source{.size = data.size(), .read = {}, .once = true};
  auto pipe = std::make_shared<Pipe>(std::move(data));
  source.read = [pipe](std::uint64_t offset, MutableBytes out) {
    return read_pipe(pipe, offset, out);
  };
  return source;
}

}  // namespace

TEST_CASE("a server that fails while it is written to is replaced without starting again") {
  for (bool once : {false, true}) {
    FakeGrid grid({.servers = 12});
    const auto data = pattern(20'000);
    const auto si = storage_index_of(the_key);
    auto& victim = grid.permuted(si, 2);
    victim.faults.broken = Errc::unreachable;
    victim.faults.only = {Verb::write};
    const auto source = once ? pipe_source(data) : memory_source(data);
    auto done = put(context(grid), source);
    REQUIRE(done.has_value());
    CHECK(done->report.happiness == 10);
    CHECK(done->report.shares_sent == 10);
    CHECK(done->report.shares_replaced == 1);
    CHECK(grid.unfinished_uploads() == 0);
    check_shares(grid, data, small_segments);
    // The nine others were written once.
    std::uint64_t written = 0;
    for (std::size_t s = 0; s < 12; ++s) written += grid.server(s).bytes_written();
    CHECK(written == 10 * grid.permuted(si, 0).bytes_written());
  }
}

TEST_CASE("a server that falls silent while it is written to is replaced as well") {
  FakeGrid grid({.servers = 11});
  const auto data = pattern(50'000);
  auto& victim = grid.permuted(storage_index_of(the_key), 0);
  victim.faults.stalled = true;
  victim.faults.only = {Verb::write, Verb::abort};
  auto done = put(context(grid), memory_source(data));
  REQUIRE(done.has_value());
  CHECK(done->report.happiness == 10);
  check_shares(grid, data, small_segments);
}

TEST_CASE("a silent server is replaced soon because others go on, long before any deadline") {
  const auto data = pattern(50'000);
  // Silent from its first piece on, and from one of the last.
  for (bool early : {true, false}) {
    FakeGrid grid({.servers = 11});
    auto& victim = grid.permuted(storage_index_of(the_key), 0);
    victim.faults.only = {Verb::write, Verb::abort};
    auto c = context(grid);
    c.limits.send.deadline = 1h;
    victim.faults.stalled = early;
    if (!early) {
      c.progress = [&](std::uint64_t done, std::uint64_t total) {
        if (done > total / 2) victim.faults.stalled = true;
      };
    }
    auto done = put(c, memory_source(data));
    REQUIRE(done.has_value());
    CHECK(done->report.shares_replaced == 1);
    check_shares(grid, data, small_segments);
  }
}

TEST_CASE("with spare servers an upload survives the death of any of them at any step") {
  const auto data = pattern(6000);
  for (auto happy : {10u, 7u}) {
    auto encoding = small_segments;
    encoding.happy = happy;
    for (std::uint64_t step = 2; step < 14; ++step) {
      FakeGrid grid({.servers = 13});
      const auto si = storage_index_of(the_key);
      for (std::size_t dead = 0; dead < 3; ++dead) grid.permuted(si, dead * 3).die_at(step);
      auto done = put(context(grid, encoding), memory_source(data));
      INFO("step " << step);
      REQUIRE(done.has_value());
      CHECK(done->report.happiness == 10);
      check_shares(grid, data, encoding);
    }
  }
}

TEST_CASE(
    "an upload from a pipe that loses any one call still succeeds, and reads each byte once") {
  const auto data = pattern(4000);
  for (auto lost : {Lost::request, Lost::reply}) {
    for (std::uint64_t step = 0;; ++step) {
      FakeGrid grid({.servers = 11, .fail_at = step, .lost = lost});
      auto done = put(context(grid), pipe_source(data));
      INFO("step " << step);
      REQUIRE(done.has_value());
      CHECK(grid.unfinished_uploads() == 0);
      check_shares(grid, data, small_segments, grid.share_map(storage_index_of(the_key)).size());
      if (!grid.steps.fired) break;
    }
  }
}

TEST_CASE("a pipe without a key is refused, for it would have to be read twice") {
  FakeGrid grid;
  auto done = put(context(grid), pipe_source(pattern(1000)), std::nullopt);
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().code == Errc::bad_argument);
}

namespace {
// Another byte at `at` once all of it has been read.
struct Changing {
  Bytes data;
  std::uint64_t at, read = 0;
};
Task<Result<>> read_changing(std::shared_ptr<Changing> file, std::uint64_t offset,
                             MutableBytes out) {
  if (file->read == file->data.size()) file->data[file->at] ^= 1;
  file->read += out.size();
  std::copy_n(file->data.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  co_return Result<>{};
}
}  // namespace

TEST_CASE("a file that is written to while it is uploaded is not stored as a mixture") {
  const auto data = pattern(12'345);
  for (std::uint64_t at : {0, 999, 1001, 1002, 5000, 12'344}) {
    FakeGrid grid({.servers = 10});
    auto file = std::make_shared<Changing>(Changing{data, at});
    Source source{.size = data.size(), .read = [file](std::uint64_t offset, MutableBytes out) {
                    return read_changing(file, offset, out);
                  }};
    auto done = put(context(grid), source, std::nullopt);
    INFO("byte " << at);
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().code == Errc::busy);
    CHECK(done.error().context.find("written to while it was uploaded") != std::string::npos);
    CHECK(grid.unfinished_uploads() == 0);
    for (std::size_t s = 0; s < grid.size(); ++s) CHECK(grid.server(s).storage_indexes().empty());
    // What it is now can be stored.
    CHECK(put(context(grid), source, std::nullopt).has_value());
  }
}

TEST_CASE("a sum of a source does not depend on the pieces it was read in") {
  const auto data = pattern(1000);
  for (std::size_t piece : {1, 7, 100, 300, 1000}) {
    SourceSum sum(300);
    for (std::size_t at = 0; at < data.size(); at += piece) {
      sum.add(ByteView(data).subspan(at, std::min(piece, data.size() - at)));
    }
    for (std::uint64_t s = 0; s < 4; ++s) {
      const auto part = ByteView(data).subspan(s * 300, s < 3 ? 300 : 100);
      CHECK(sum.matches({s}, part));
      CHECK_FALSE(sum.matches({(s + 1) % 4}, part));
      CHECK_FALSE(sum.matches({s}, part.first(part.size() - 1)));
    }
    CHECK_FALSE(sum.matches({4}, {}));
  }
}

TEST_CASE("what an interrupted upload has left on servers is gone on with") {
  FakeGrid grid;
  const auto data = pattern(200'000);
  const auto source = memory_source(data);
  const auto si = storage_index_of(the_key);
  // All servers die in the middle, and with them the chance to clean up.
  for (std::size_t s = 0; s < 10; ++s) grid.server(s).die_at(60);
  CHECK_FALSE(put(context(grid), source).has_value());
  CHECK(grid.unfinished_uploads() == 10);
  std::uint64_t before = 0;
  for (std::size_t s = 0; s < 10; ++s) {
    grid.server(s).own_steps.dead_from.reset();
    before += grid.server(s).bytes_written();
  }
  grid.reset_counters();
  auto done = put(context(grid), source);
  REQUIRE(done.has_value());
  CHECK(done->report.happiness == 10);
  check_shares(grid, data, small_segments);
  std::uint64_t after = 0;
  for (std::size_t s = 0; s < 10; ++s) after += grid.server(s).bytes_written();
  const auto all = 10 * grid.server(0).get_share(si, *grid.server(0).shares(si).begin())->size();
  // Not twice what was there; the piece in which each attempt ended may be.
  CHECK(before + after < all + 10 * 1500);
  CHECK(after < all * 9 / 10);
}

TEST_CASE("somebody else's unfinished upload is not touched") {
  FakeGrid grid;
  const auto data = pattern(5000);
  auto other = context(grid);
  other.lease_secret = Secret32(std::array<std::uint8_t, 32>{1});
  for (std::size_t s = 0; s < 10; ++s) grid.server(s).die_at(5);
  CHECK_FALSE(put(other, memory_source(data)).has_value());
  const auto unfinished = grid.unfinished_uploads();
  CHECK(unfinished > 0);
  for (std::size_t s = 0; s < 10; ++s) grid.server(s).own_steps.dead_from.reset();
  auto done = put(context(grid), memory_source(data));
  CHECK(grid.unfinished_uploads() == unfinished);
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().context.find("busy with another upload") != std::string::npos);
}

TEST_CASE("the window of a server follows what its line holds") {
  const TimePoint begin{};
  SendWindow window(2'000'000, 64'000'000);
  // 50 MB/s and 100 ms: a megabyte takes 20 ms to send and comes back 100 ms later.
  TimePoint line_free = begin, now = begin;
  std::vector<std::pair<TimePoint, SendWindow::Ticket>> under_way;
  for (int i = 0; i < 400; ++i) {
    while (under_way.size() * 1'000'000 < window.bytes()) {
      line_free = std::max(line_free, now) + 20ms;
      under_way.emplace_back(line_free + 100ms, window.started(now));
    }
    now = under_way.front().first;
    window.acknowledged(under_way.front().second, 1'000'000, now);
    under_way.erase(under_way.begin());
  }
  CHECK(window.bytes() >= 6'000'000);
  CHECK(window.bytes() <= 20'000'000);
  SendWindow local(2'000'000, 64'000'000);
  for (int i = 0; i < 100; ++i) local.acknowledged(local.started(begin), 1'000'000, begin + 1ms);
  CHECK(local.bytes() == 2'000'000);
}

TEST_CASE("patience with a piece follows what nearly all pieces take") {
  const TimePoint now{};
  SendPatience patience(3s, 240s);
  const auto one = patience.join();
  const auto took = [&](Duration d, int times) {
    for (int i = 0; i < times; ++i) {
      patience.started(one);
      patience.took(one, d, now);
    }
  };
  CHECK(patience.patience() == 240s);
  took(50ms, 64);
  CHECK(patience.patience() == 3s);
  took(3s, 10);
  CHECK(patience.patience() == 15s);
  took(100s, 64);
  CHECK(patience.patience() == 240s);
}

TEST_CASE("a piece is overdue only while other servers go on") {
  const TimePoint begin = TimePoint{} + 1h;
  SendPatience patience(3s, 240s);
  for (int i = 0; i < 5; ++i) {
    patience.join();
    patience.started(i);
    patience.started(i);
  }
  for (int i = 1; i < 5; ++i) patience.took(i, 100ms, begin);
  CHECK_FALSE(patience.overdue(0, begin, begin + 1h));  // too little is known
  for (int i = 0; i < 40; ++i) patience.started(1), patience.took(1, 100ms, begin);
  CHECK(patience.patience() == 3s);
  // All five have a piece under way since then, and nobody answers: the line is down.
  CHECK_FALSE(patience.overdue(0, begin, begin + 4s));
  CHECK(patience.next_look(begin, begin + 4s) > begin + 4s);
  // Two of the four others answer.
  patience.took(1, 4s, begin + 4s);
  CHECK_FALSE(patience.overdue(0, begin, begin + 4s));
  patience.took(2, 4s, begin + 4s);
  CHECK(patience.overdue(0, begin, begin + 4s));
  CHECK_FALSE(patience.overdue(0, begin + 2s, begin + 4s));
  // Who is alone is compared with nobody.
  SendPatience alone(3s, 240s);
  alone.join();
  for (int i = 0; i < 9; ++i) alone.started(0), alone.took(0, 100ms, begin);
  CHECK_FALSE(alone.overdue(0, begin, begin + 1h));
}

TEST_CASE("a batch of segments fills the lanes as far as it may") {
  CHECK(best_batch(3, 10, 16, 1) == 1);
  CHECK(best_batch(1, 1, 1, 16) == 1);
  CHECK(best_batch(3, 10, 16, 16) >= 4);
  CHECK(best_batch(3, 10, 6, 16) == 6);
  for (std::uint64_t k = 1; k <= 20; ++k) CHECK(best_batch(k, 20, 8, 16) <= 8);
}
