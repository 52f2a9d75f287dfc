// SPDX-License-Identifier: Apache-2.0
// Parts of files: ranges read, patches written in place, and what a repair and a smaller n leave.

#include <random>

#include "grid/mutable/file_check.h"
#include "grid/mutable/key_pool.h"
#include "tests/grid/mutable/mutable_test.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::test;
using fake::FakeGrid;
using fake::Verb;

namespace {

constexpr std::uint64_t segment = 131073;  // of k = 3

std::string text_of(std::size_t size, unsigned seed = 0) {
  std::string out(size, 0);
  std::mt19937 random(seed);
  for (auto& c : out) c = static_cast<char>('a' + random() % 26);
  return out;
}

Result<VersionId> patch(FakeGrid& grid, const Cap& cap, Patch p) {
  return with_file(grid, cap, [&](MutableFile& file) { return file.patch(p); });
}

Result<CheckReport> check(FakeGrid& grid, const Cap& cap, bool verify = true) {
  struct Body {
    static Task<Result<CheckReport>> run(MutableContext context, Cap cap, bool verify) {
      CheckOptions options;
      options.verify = verify;
      co_return co_await check_mutable(co_await asio::this_coro::executor, context, cap,
                                       std::move(options));
    }
  };
  return run(Body::run(context_of(grid, 3, 10), cap, verify));
}

}  // namespace

TEST_CASE("a patch does to the file what it does to a string, in place") {
  for (const auto format : {MutableFormat::mdmf, MutableFormat::sdmf}) {
    std::mt19937 random(7);
    std::string model;
    FakeGrid grid;
    const auto cap = create(grid, model, 3, 10, format);
    const std::size_t sizes[] = {0, 1, segment - 1, segment, segment + 1, 2 * segment, 400000};
    for (int i = 0; i < (format == MutableFormat::mdmf ? 24 : 6); ++i) {
      Patch p;
      const auto limit = format == MutableFormat::mdmf ? 400000u : 3000u;
      if (random() % 3 == 0) p.new_length = sizes[random() % 7] % limit;
      if (random() % 4 != 0) {
        p.offset = random() % 2 ? sizes[random() % 7] % limit : model.size();
        p.data = to_bytes(text_of(1 + random() % (random() % 2 ? 100 : 200000) % limit, i));
      }
      model = to_text(p.applied(as_bytes(model)));
      INFO("step " << i);
      REQUIRE(patch(grid, cap, p));
      REQUIRE(read(grid, cap) == model);
    }
    const auto report = check(grid, cap);
    REQUIRE(report);
    CHECK(report->healthy());
    CHECK(report->corrupt.empty());
  }
}

TEST_CASE("a change in place touches only the segments it changes") {
  FakeGrid grid;
  auto model = text_of(10 * segment);
  const auto cap = create(grid, model, 3, 10, MutableFormat::mdmf);
  grid.reset_counters();
  REQUIRE(patch(grid, cap, {std::nullopt, 5 * segment + 10, to_bytes("hello")}));
  model.replace(5 * segment + 10, 5, "hello");
  std::uint64_t written = 0, read_bytes = 0;
  for (std::size_t i = 0; i < grid.size(); ++i) {
    written += grid.server(i).bytes_written();
    read_bytes += grid.server(i).bytes_read();
  }
  CHECK(written < 10 * (segment / 3 + 6000));
  CHECK(read_bytes < 10 * 8000 + 4 * segment);
  CHECK(read(grid, cap) == model);

  // So does a read.
  grid.reset_counters();
  const auto part =
      with_file(grid, cap, [](MutableFile& file) { return file.read_part(3 * segment - 5, 10); });
  REQUIRE(part);
  CHECK(to_text(part->bytes) == model.substr(3 * segment - 5, 10));
  CHECK(part->size == model.size());
  std::uint64_t again = 0;
  for (std::size_t i = 0; i < grid.size(); ++i) again += grid.server(i).bytes_read();
  CHECK(again < 10 * 8000 + 3 * segment);
  const auto behind =
      with_file(grid, cap, [](MutableFile& file) { return file.read_part(20 * segment, 10); });
  REQUIRE(behind);
  CHECK(behind->bytes.empty());
}

TEST_CASE("a file that lacks shares is changed as well, and whole again afterwards") {
  FakeGrid grid;
  auto model = text_of(3 * segment);
  const auto cap = create(grid, model, 3, 10, MutableFormat::mdmf);
  const auto si = *cap.storage_index();
  for (int i = 0; i < 5; ++i) grid.permuted(si, i).delete_share(si, ShareNo{std::uint64_t(i)});
  REQUIRE(patch(grid, cap, {std::nullopt, segment, to_bytes("x")}));
  model[segment] = 'x';
  CHECK(read(grid, cap) == model);
  CHECK(check(grid, cap)->healthy());
  // A damaged block far from the change does not become a part of the new version unnoticed.
  REQUIRE(grid.permuted(si, 7).flip_bit(si, ShareNo{7}, 2300));
  REQUIRE(patch(grid, cap, {std::nullopt, segment, to_bytes("y")}));
  model[segment] = 'y';
  CHECK(read(grid, cap) == model);
}

TEST_CASE("a change that fails at any step leaves the old or the new contents, of either format") {
  for (const auto format : {MutableFormat::sdmf, MutableFormat::mdmf}) {
    bool fired = true;
    for (std::uint64_t step = 0; fired; ++step) {
      FakeGrid grid({.servers = 4});
      const std::string before = "the old contents";
      const auto cap = create(grid, before, 2, 4, format);
      grid.fail_at(step, step % 2 ? fake::Lost::reply : fake::Lost::request);
      const auto done = with_file(
          grid, cap,
          [](MutableFile& file) { return file.patch({std::nullopt, 4, to_bytes("NEW")}); }, 2, 4);
      fired = grid.steps.fired;
      grid.steps.fail_at.reset();
      const auto now = read(grid, cap);
      INFO("step " << step);
      const bool is_new = now == "the NEW contents";
      CHECK((is_new || now == before));
      if (done) CHECK(is_new);
      CHECK((done || fired));
    }
  }
}

TEST_CASE("a repair makes the same version whole, byte for byte") {
  for (const auto format : {MutableFormat::sdmf, MutableFormat::mdmf}) {
    FakeGrid grid;
    const auto cap = create(grid, text_of(300000), 3, 10, format);
    const auto si = *cap.storage_index();
    std::map<ShareNo, Bytes> before;
    std::map<ShareNo, std::size_t> place;
    for (const auto& [number, servers] : grid.share_map(si)) {
      place[number] = *servers.begin();
      before[number] = *grid.server(*servers.begin()).get_share(si, number);
    }
    CHECK(check(grid, cap)->healthy());
    for (const std::uint64_t n : {0, 4})
      grid.server(place[ShareNo{n}]).delete_share(si, ShareNo{n});
    for (const std::uint64_t n : {1, 9}) {
      REQUIRE(grid.server(place[ShareNo{n}]).flip_bit(si, ShareNo{n}, n == 1 ? 20 : 2500));
    }
    const auto hurt = check(grid, cap);
    REQUIRE(hurt);
    CHECK(hurt->shares.size() == 6);
    CHECK(hurt->corrupt.size() == 2);
    CHECK(hurt->recoverable());
    // Through the verify cap as well.
    CHECK(check(grid, *cap.verifier())->shares.size() == 6);
    MutableFile::Damaged damaged;
    for (const auto& bad : hurt->corrupt) damaged.emplace(bad.server, bad.number);
    REQUIRE(with_file(grid, cap, [&](MutableFile& file) { return file.repair(false, damaged); }));
    for (const auto& [number, servers] : grid.share_map(si)) {
      INFO(number.value);
      CHECK(*grid.server(*servers.begin()).get_share(si, number) == before[number]);
    }
    CHECK(check(grid, cap)->healthy());
    CHECK(with_file(grid, *cap.read_only(), [](MutableFile& file) { return file.repair(false); })
              .error()
              .code == Errc::read_only);
  }
}

TEST_CASE("a repair that fails at any step harms nothing") {
  bool fired = true;
  for (std::uint64_t step = 0; fired; ++step) {
    FakeGrid grid({.servers = 4});
    const auto cap = create(grid, "contents", 2, 4);
    const auto si = *cap.storage_index();
    grid.permuted(si, 1).delete_share(si, ShareNo{1});
    grid.fail_at(step);
    (void)with_file(grid, cap, [](MutableFile& file) { return file.repair(false); }, 2, 4);
    fired = grid.steps.fired;
    grid.steps.fail_at.reset();
    INFO("step " << step);
    CHECK(read(grid, cap) == "contents");
  }
}

TEST_CASE("versions that compete are repaired only when told so") {
  FakeGrid grid;
  const auto cap = create(grid, "one");
  const auto si = *cap.storage_index();
  std::map<ShareNo, Bytes> newer;
  {
    FakeGrid other;
    for (std::size_t i = 0; i < grid.size(); ++i) {
      for (const auto number : grid.server(i).shares(si)) {
        other.server(i).put_share(si, number, *grid.server(i).get_share(si, number),
                                  storage::ShareKind::mutable_);
      }
    }
    REQUIRE(overwrite(other, cap, "two"));
    for (std::size_t i = 0; i < grid.size(); ++i) {
      for (const auto number : other.server(i).shares(si)) {
        newer[number] = *other.server(i).get_share(si, number);
      }
    }
  }
  // Two shares of a newer version that is lost otherwise.
  int left = 2;
  for (std::size_t i = 0; i < grid.size() && left > 0; ++i) {
    for (const auto number : grid.server(i).shares(si)) {
      grid.server(i).put_share(si, number, newer[number], storage::ShareKind::mutable_);
      --left;
    }
  }
  const auto report = check(grid, cap);
  CHECK_FALSE(report->healthy());
  CHECK(report->unrecoverable_versions == 1);
  const auto refused = with_file(grid, cap, [](MutableFile& file) { return file.repair(false); });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::conflict);
  CHECK(refused.error().context.find("--force") != std::string::npos);
  const auto forced = with_file(grid, cap, [](MutableFile& file) { return file.repair(true); });
  REQUIRE(forced);
  CHECK(forced->seqnum == 3);
  CHECK(read(grid, cap) == "one");
  CHECK(check(grid, cap)->healthy());
}

TEST_CASE("fewer shares leave no mixed grid") {
  FakeGrid grid;
  const auto cap = create(grid, "ten shares");
  REQUIRE(overwrite(grid, cap, "four shares", 2, 4));
  CHECK(read(grid, cap) == "four shares");
  const auto report = check(grid, cap);
  CHECK(report->healthy());
  CHECK(report->n == 4);
  CHECK(grid.share_map(*cap.storage_index()).size() == 4);
}

TEST_CASE("read-only servers get no new shares, and their old ones are kept up to date") {
  FakeGrid grid({.servers = 4});
  const auto cap = create(grid, "one", 2, 4);
  const auto si = *cap.storage_index();
  auto& full = grid.permuted(si, 0);
  full.faults.read_only = true;
  grid.permuted(si, 3).delete_share(si, ShareNo{3});
  REQUIRE(overwrite(grid, cap, "two", 2, 4));
  CHECK(full.shares(si) == std::set{ShareNo{0}});
  const auto report = check(grid, cap);
  CHECK(report->healthy());
}

TEST_CASE("a second change needs one round trip, and a first one two") {
  FakeGrid grid;
  const auto cap = create(grid, "small");
  struct Body {
    static Task<> run(FakeGrid& grid, MutableContext context, Cap cap) {
      MutableFile file(co_await asio::this_coro::executor, context, cap);
      grid.reset_counters();
      auto first = co_await file.modify(appending(" and one"));
      CHECK(first);
      CHECK(grid.calls(Verb::list) + grid.calls(Verb::read) == 0);
      CHECK(grid.calls(Verb::read_test_write) <= 10 + 13);
      grid.reset_counters();
      auto second = co_await file.modify(appending(" and two"));
      CHECK(second);
      CHECK(second->seqnum == 3);
      CHECK(grid.total_calls() == 10);  // a write for each share, nothing else
      // Somebody else writes; what we believe to be there is not.
      MutableFile other(co_await asio::this_coro::executor, context, cap);
      auto theirs = co_await other.modify(appending(" and theirs"));
      CHECK(theirs);
      auto third = co_await file.modify(appending(" and three"));
      CHECK(third);
      auto now = co_await other.read();
      CHECK(now);
      CHECK(to_text(*now->bytes) == "small and one and two and theirs and three");
      co_await file.close();
      co_await other.close();
    }
  };
  run(Body::run(grid, context_of(grid, 3, 10), cap));
}

TEST_CASE("a new file takes one round trip once its servers are known") {
  FakeGrid grid;
  auto context = context_of(grid, 3, 10);
  context.facts = std::make_shared<ServerFacts>();
  struct Body {
    static Task<Result<Cap>> run(MutableContext context, int key) {
      co_return co_await MutableFile::create(co_await asio::this_coro::executor, context,
                                             MutableFormat::sdmf, Bytes(), test_key(key));
    }
  };
  REQUIRE(run(Body::run(context, 0)));
  CHECK(grid.calls(Verb::version) == 10);
  grid.reset_counters();
  REQUIRE(run(Body::run(context, 1)));
  CHECK(grid.total_calls() == 10);
  CHECK(grid.calls(Verb::read_test_write) == 10);
}

TEST_CASE("spare keys are kept sealed, and each is used once") {
  namespace stdfs = std::filesystem;
  char name[] = "/tmp/lafs-keys-XXXXXX";
  const stdfs::path directory = ::mkdtemp(name);
  KeyPool::OnDisk disk{directory / "spare-keys", Secret32()};
  const auto key = test_key(0).pkcs8();
  CHECK_FALSE(take_stored_key(disk));
  REQUIRE(store_key(disk, test_key(0), 8));
  for (const auto& entry : stdfs::directory_iterator(disk.directory)) {
    const auto status = stdfs::status(entry);
    CHECK((status.permissions() & stdfs::perms(077)) == stdfs::perms::none);
    CHECK(stdfs::file_size(entry) == key.size() + 40);
  }
  const auto taken = take_stored_key(disk);
  REQUIRE(taken);
  CHECK(taken->pkcs8() == key);
  CHECK_FALSE(take_stored_key(disk));
  CHECK(stdfs::is_empty(disk.directory));
  // Another node's, or a damaged one, is no key.
  REQUIRE(store_key(disk, test_key(0), 8));
  std::array<std::uint8_t, 32> other{};
  other[0] = 1;
  CHECK_FALSE(take_stored_key({disk.directory, Secret32(other)}));
  // No more than wanted.
  for (int i = 0; i < 3; ++i) CHECK(store_key(disk, test_key(0), 2));
  CHECK(std::distance(stdfs::directory_iterator(disk.directory), {}) == 2);
  struct Body {
    static Task<> run(KeyPool::OnDisk disk) {
      auto executor = co_await asio::this_coro::executor;
      KeyPool pool(executor, test_pool(), 0, disk);
      (void)co_await pool.take();
      co_await pool.close();
    }
  };
  run(Body::run(disk));
  CHECK(std::distance(stdfs::directory_iterator(disk.directory), {}) == 1);
  stdfs::remove_all(directory);
}
