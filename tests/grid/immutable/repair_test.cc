// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "encode_helper.h"
#include "grid/caps/keys.h"
#include "grid/crypto/merkle.h"
#include "grid/immutable/file_checker.h"
#include "grid/immutable/immutable_file.h"
#include "grid/immutable/share_verifier.h"
#include "grid/immutable/ueb.h"
#include "grid/immutable/uploader.h"
#include "tests/fake/fake_grid.h"

using namespace lafs;
using namespace lafs::grid;
using namespace std::chrono_literals;
using fake::FakeGrid;
using fake::Lost;
using grid::test::pattern;

namespace {

Pool& pool() {
  static Pool the_pool(2);
  return the_pool;
}

const Key16 the_key(std::array<std::uint8_t, 16>{7});
constexpr Encoding encoding{.k = 3, .happy = 1, .n = 10, .max_segment_size = 100};

struct Put {
  ChkVerifyCap cap;
  StorageIndex si;
  EncodedFile file;
  std::vector<Bytes> shares;
};

Put put(FakeGrid& grid, std::size_t size = 1000,
        std::optional<LayoutVersion> force = std::nullopt) {
  const auto g = Geometry::for_upload(size, encoding).value();
  auto made = run(grid::test::encode_shares(pool(), pattern(size), g, the_key, force)).value();
  const auto si = storage_index_of(the_key);
  for (std::uint64_t i = 0; i < made.shares.size(); ++i) {
    grid.server(i % grid.size()).put_share(si, {i}, made.shares[i]);
  }
  return {{si, made.file.ueb_hash, g.k, g.n, g.size}, si, made.file, made.shares};
}

CheckReport check(FakeGrid& grid, const Put& made, bool verify) {
  CheckOptions options{.verify = verify, .deadline = 200ms};
  return run(check_immutable(grid.roster(), pool(), {}, made.cap, options)).value();
}

Result<> verify(const Put& made, const Bytes& share, std::uint64_t number) {
  fake::FakeServer server;
  server.put_share(made.si, {number}, share);
  return run(verify_share(server, made.cap, ShareNo{number}, pool(), {}));
}

Result<UploadReport> repair(FakeGrid& grid, const Put& made, DistrustedShares bad = {}) {
  UploadContext c{grid.roster(), pool(), {}, encoding, {}};
  c.limits.survey = c.limits.allocate = 200ms;
  c.limits.send.deadline = 100ms;
  return run(repair_immutable(c, made.cap, std::move(bad)));
}

}  // namespace

TEST_CASE("a whole file checks and verifies as healthy") {
  for (auto version : {LayoutVersion::v1, LayoutVersion::v2}) {
    FakeGrid grid;
    const auto made = put(grid, 1000, version);
    for (bool verify : {false, true}) {
      const auto report = check(grid, made, verify);
      CHECK(report.healthy());
      CHECK(report.recoverable());
      CHECK(report.shares.size() == 10);
      CHECK(report.answered.size() == 10);
      CHECK(report.corrupt.empty());
    }
  }
}

TEST_CASE("a check says what is missing and who did not answer") {
  FakeGrid grid;
  const auto made = put(grid);
  grid.server(2).delete_share(made.si, {2});
  grid.server(3).set_gone();
  grid.server(4).faults.stalled = true;
  grid.server(5).put_share(made.si, {200}, Bytes(10));  // no share of this file
  auto report = check(grid, made, false);
  CHECK_FALSE(report.healthy());
  CHECK(report.recoverable());
  CHECK(report.shares.size() == 7);
  CHECK(report.answered.size() == 8);
  CHECK(report.failed.contains("v0-fake3"));
  CHECK(report.failed.contains("v0-fake4"));
  for (std::size_t s = 5; s < 10; ++s) grid.server(s).set_gone();
  report = check(grid, made, false);
  CHECK_FALSE(report.recoverable());
}

TEST_CASE("a bit flipped anywhere a reader relies on is found by verifying") {
  FakeGrid grid;
  const auto made = put(grid, 350);
  const auto& layout = made.file.layout;
  for (std::uint64_t at = 0; at < made.shares[4].size(); ++at) {
    auto share = made.shares[4];
    share[at] ^= 0x10;
    const auto outcome = verify(made, share, 4);
    // The two sizes in the header and the plaintext tree are written and never read.
    const bool unread = (at >= 4 && at < 12) ||
                        (at >= layout.plaintext_tree && at < layout.ciphertext_tree) ||
                        (at >= 16 && at < 20);
    INFO("byte " << at);
    if (unread) continue;
    REQUIRE_FALSE(outcome.has_value());
    CHECK((outcome.error().code == Errc::corrupt || outcome.error().code == Errc::unsupported));
  }
}

TEST_CASE("a share under another number and truncated shares are found by verifying") {
  FakeGrid grid;
  const auto made = put(grid, 350);
  CHECK(verify(made, made.shares[4], 4).has_value());
  CHECK_FALSE(verify(made, made.shares[0], 7).has_value());
  for (std::size_t size = 0; size < made.shares[1].size(); size += 7) {
    Bytes share(made.shares[1].begin(), made.shares[1].begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(verify(made, share, 1).has_value());
  }
}

TEST_CASE("forged blocks under a block tree made for them are found by verifying") {
  FakeGrid grid;
  const auto made = put(grid, 350);
  auto share = made.shares[2];
  const auto& g = made.file.geometry;
  const auto& layout = made.file.layout;
  share[layout.data] ^= 1;
  std::vector<Hash32> leaves;
  for (std::uint64_t s = 0; s < g.num_segments; ++s) {
    leaves.push_back(
        tagged_hash("allmydata_encoded_subshare_v1",
                    ByteView(share).subspan(layout.data + s * g.block_size, g.block_length({s}))));
  }
  const auto tree = serialize_tree(merkle_tree(leaves));
  std::ranges::copy(tree, share.begin() + static_cast<std::ptrdiff_t>(layout.block_tree));
  const auto outcome = verify(made, share, 2);
  REQUIRE_FALSE(outcome.has_value());
  CHECK(outcome.error().code == Errc::corrupt);
}

TEST_CASE("verifying names corrupt shares and tells their servers") {
  FakeGrid grid;
  const auto made = put(grid);
  grid.server(6).flip_bit(made.si, {6}, made.file.layout.data + 3);
  const auto believed = check(grid, made, false);
  CHECK(believed.healthy());
  const auto report = check(grid, made, true);
  CHECK_FALSE(report.healthy());
  REQUIRE(report.corrupt.size() == 1);
  CHECK(report.corrupt[0].server == "v0-fake6");
  CHECK(report.corrupt[0].number == ShareNo{6});
  CHECK(grid.server(6).corruption_reports().size() == 1);
}

TEST_CASE("repair brings the missing shares back, byte for byte") {
  for (std::uint64_t missing = 0; missing < 120; missing += 7) {
    FakeGrid grid({.servers = 12});
    const auto made = put(grid, 777);
    std::size_t gone = 0;
    for (std::uint64_t i = 0; i < 7; ++i) {
      if (missing >> i & 1) gone += grid.server(i).delete_share(made.si, {i});
    }
    auto done = repair(grid, made);
    REQUIRE(done.has_value());
    CHECK(done->shares_sent == gone);
    const auto map = grid.share_map(made.si);
    REQUIRE(map.size() == 10);
    for (auto& [number, servers] : map) {
      for (auto s : servers) {
        CHECK(grid.server(s).get_share(made.si, number) == made.shares[number.value]);
      }
    }
    CHECK(grid.unfinished_uploads() == 0);
  }
}

TEST_CASE("repair replaces a share that is known to be bad, on another server") {
  FakeGrid grid({.servers = 11});
  const auto made = put(grid);
  grid.server(6).flip_bit(made.si, {6}, made.file.layout.data + 3);
  auto done = repair(grid, made, {{"v0-fake6", {{6}}}});
  REQUIRE(done.has_value());
  CHECK(done->shares_sent == 1);
  CHECK(grid.server(10).get_share(made.si, {6}) == made.shares[6]);
  CHECK(done->servers[{6}] == std::set<std::string>{"v0-fake10"});
}

TEST_CASE("repair spreads shares that are all on one server") {
  FakeGrid grid;
  const auto made = put(grid);
  grid.gather(made.si, 3);
  auto done = repair(grid, made);
  REQUIRE(done.has_value());
  CHECK(done->happiness == 10);
  CHECK(grid.share_map(made.si).size() == 10);
}

TEST_CASE("repair of a healthy file reads and writes no block") {
  FakeGrid grid;
  const auto made = put(grid);
  grid.reset_counters();
  auto done = repair(grid, made);
  REQUIRE(done.has_value());
  CHECK(done->shares_sent == 0);
  CHECK(grid.calls(fake::Verb::write) == 0);
}

TEST_CASE("a file with fewer than k shares cannot be repaired, and says so") {
  FakeGrid grid;
  const auto made = put(grid);
  for (std::uint64_t i = 0; i < 8; ++i) grid.server(i).delete_share(made.si, {i});
  auto done = repair(grid, made);
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().code == Errc::not_enough_shares);
}

TEST_CASE("a repair that loses any one call leaves good shares only") {
  for (auto lost : {Lost::request, Lost::reply}) {
    for (std::uint64_t step = 0;; ++step) {
      FakeGrid grid({.servers = 12});
      const auto made = put(grid, 400);
      for (std::uint64_t i = 0; i < 4; ++i) grid.server(i).delete_share(made.si, {i});
      grid.fail_at(step, lost);
      auto done = repair(grid, made);
      INFO("step " << step);
      CHECK(done.has_value());
      CHECK(grid.unfinished_uploads() == 0);
      for (auto& [number, servers] : grid.share_map(made.si)) {
        for (auto s : servers) {
          CHECK(grid.server(s).get_share(made.si, number) == made.shares[number.value]);
        }
      }
      if (!grid.steps.fired) break;
    }
  }
}
