// SPDX-License-Identifier: Apache-2.0

// A drive whose grid is away, slow or has lost something, and one whose local disk is full or
// damaged.

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/frontends/grid_fs/drive.h"

using namespace lafs;
using namespace lafs::fs;
using lafs::fs::test::Drive;
using lafs::fs::test::pattern;
using lafs::fs::test::Setting;
using lafs::fs::test::somebody;
using lafs::grid::fake::FakeGrid;
using namespace std::chrono_literals;

namespace {

void set_gone(FakeGrid& g, bool gone) {
  for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone(gone);
}

// `body(servers, pool, root)` on a new grid.
template <class Body>
void on_grid(Body body) {
  FakeGrid grid({.servers = 5});
  Pool pool(1);
  auto all = [](FakeGrid& g, Pool& p, Body& b) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto root = co_await Drive::new_root(executor, g, p);
    REQUIRE(root.has_value());
    co_await b(executor, g, p, *root);
  };
  run(all(grid, pool, body));
}

Task<Result<>> closed(Drive& drive) { co_return co_await drive.close(); }

// Each in a file of the directory `in`.
struct Scratch {
  Scratch() : path((std::filesystem::temp_directory_path() / "lafs-outage-XXXXXX").string()) {
    if (!::mkdtemp(path.data())) throw std::runtime_error("mkdtemp");
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  std::string path;
};

void flip(const std::filesystem::path& path, std::streamoff at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char c = static_cast<char>(file.get() ^ 0x40);
  file.seekp(at);
  file.put(c);
}

// Where `what` stands in a file.
std::streamoff position(const std::filesystem::path& path, std::string_view what, int nth) {
  std::ifstream in(path, std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(in), {}};
  auto at = all.find(what);
  for (int i = 1; i < nth && at != all.npos; ++i) at = all.find(what, at + 1);
  return at == all.npos ? -1 : static_cast<std::streamoff>(at);
}

}  // namespace

TEST_CASE(
    "with the grid away, soft: what is cached is read, writes queue, the rest fails in time") {
  on_grid([](auto executor, FakeGrid& g, Pool& p, grid::Cap root) -> Task<> {
    {
      Drive before(executor, g, p, root);
      auto put = co_await before.put("unread", pattern(9000, 3));
      REQUIRE(put.has_value());
      auto done = co_await closed(before);
      REQUIRE(done.has_value());
    }
    Setting setting{.fs = {.read_timeout = 300ms}};
    Drive drive(executor, g, p, root, setting);
    auto put = co_await drive.put("known", pattern(9000));
    REQUIRE(put.has_value());
    auto settled = co_await drive.settle();
    REQUIRE(settled.has_value());
    auto known = co_await drive.get("known");
    REQUIRE(known.has_value());

    SECTION("servers that refuse") { set_gone(g, true); }
    SECTION("servers that are silent") {
      for (std::size_t i = 0; i < g.size(); ++i) g.server(i).faults.stalled = true;
    }
    const auto begin = Clock::now();
    known = co_await drive.get("known");
    REQUIRE(known.has_value());
    CHECK(*known == pattern(9000));
    put = co_await drive.put("new", pattern(5000, 2));
    CHECK(put.has_value());
    auto unread = co_await drive.get("unread");
    CHECK_FALSE(unread.has_value());
    CHECK(Clock::now() - begin < 20s);  // silent servers alone would take minutes

    set_gone(g, false);
    for (std::size_t i = 0; i < g.size(); ++i) {
      g.server(i).faults.stalled = false;
      g.server(i).release();
    }
    settled = co_await drive.settle();
    CHECK(settled.has_value());
    // What was found out about the servers meanwhile is forgotten little by little.
    const auto limit = Clock::now() + 60s;
    do {
      unread = co_await drive.get("unread");
      if (!unread) co_await sleep_for(100ms);
    } while (!unread && Clock::now() < limit);
    REQUIRE(unread.has_value());
    CHECK(*unread == pattern(9000, 3));
    auto done = co_await closed(drive);
    CHECK(done.has_value());
  });
}

TEST_CASE("with the grid away, hard: a read waits until it is back") {
  on_grid([](auto executor, FakeGrid& g, Pool& p, grid::Cap root) -> Task<> {
    {
      Drive before(executor, g, p, root);
      auto put = co_await before.put("f", pattern(9000));
      REQUIRE(put.has_value());
      auto done = co_await closed(before);
      REQUIRE(done.has_value());
    }
    Setting setting{.fs = {.hard = true, .read_timeout = 100ms}};
    Drive drive(executor, g, p, root, setting);
    auto found = co_await drive.find("f");
    REQUIRE(found.has_value());
    set_gone(g, true);
    TaskGroup reading(executor);
    Result<Bytes> got = fail(Errc::internal, "still waiting");
    auto read = [](Drive& d, Result<Bytes>& out) -> Task<> { out = co_await d.get("f"); };
    reading.spawn(read(drive, got));
    co_await reading.wait_one(Clock::now() + 700ms);
    CHECK(reading.running() == 1);
    set_gone(g, false);
    co_await reading.join();
    REQUIRE(got.has_value());
    CHECK(*got == pattern(9000));
    drive.fs().forget(found->id, 1);
    auto done = co_await closed(drive);
    CHECK(done.has_value());
  });
}

TEST_CASE("what was changed on both sides of an outage is merged when it is over") {
  on_grid([](auto executor, FakeGrid& g, Pool& p, grid::Cap root) -> Task<> {
    Setting away{.fs = {}, .quiet = 1h, .directory_ttl = 1h};
    Drive ours(executor, g, p, root, away), theirs(executor, g, p, root);
    auto names = co_await ours.names(root_node);
    REQUIRE(names.has_value());
    // Our side hears and tells nothing for a while.
    for (const auto* name : {"both", "mine"}) {
      auto put = co_await ours.put(name, to_bytes("ours"));
      REQUIRE(put.has_value());
    }
    for (const auto* name : {"both", "theirs"}) {
      auto put = co_await theirs.put(name, to_bytes("theirs"));
      REQUIRE(put.has_value());
    }
    auto settled = co_await ours.settle();
    REQUIRE(settled.has_value());
    names = co_await theirs.names(root_node);
    REQUIRE(names.has_value());
    REQUIRE(names->size() == 4);
    CHECK((*names)[0] == "both");
    CHECK((*names)[1].starts_with("both.conflict-here-"));
    CHECK((*names)[2] == "mine");
    CHECK((*names)[3] == "theirs");
    auto got = co_await theirs.get("both");
    REQUIRE(got.has_value());
    CHECK(as_text(*got) == "theirs");
    got = co_await theirs.get((*names)[1]);
    REQUIRE(got.has_value());
    CHECK(as_text(*got) == "ours");
    CHECK(ours.write_back().pending().conflicts == 1);
    for (auto* drive : {&ours, &theirs}) {
      auto done = co_await closed(*drive);
      CHECK(done.has_value());
    }
  });
}

TEST_CASE("an upload ends when the file is written again or removed") {
  on_grid([](auto executor, FakeGrid& g, Pool& p, grid::Cap root) -> Task<> {
    Drive drive(executor, g, p, root, {.fs = {}});
    for (std::size_t i = 0; i < g.size(); ++i) {
      g.server(i).faults.stalled = true;
      g.server(i).faults.only = {grid::fake::Verb::write};
    }
    const auto running = [&] {
      const auto report = drive.write_back().pending();
      return std::ranges::any_of(report.items, [](const auto& item) {
        return item.what == cache::PendingItem::What::content &&
               item.state == cache::PendingItem::State::running;
      });
    };
    const auto begun = [&](FakeGrid& grid) -> Task<> {
      while (!running() || grid.unfinished_uploads() == 0) co_await sleep_for(5ms);
    };
    // It needs far more than the servers take before they answer.
    auto put = co_await drive.put("f", pattern(3'000'000));
    REQUIRE(put.has_value());
    co_await begun(g);
    SECTION("written again") {
      put = co_await drive.put("f", pattern(5000, 2));
      REQUIRE(put.has_value());
      for (std::size_t i = 0; i < g.size(); ++i) {
        g.server(i).faults = {};
        g.server(i).release();
      }
      auto settled = co_await drive.settle();
      REQUIRE(settled.has_value());
      const auto report = drive.write_back().pending();
      CHECK(report.done_files == 1);
      CHECK(report.done_bytes == 5000);
      Drive other(executor, g, p, root);
      auto got = co_await other.get("f");
      REQUIRE(got.has_value());
      CHECK(*got == pattern(5000, 2));
      auto done = co_await closed(other);
      CHECK(done.has_value());
    }
    SECTION("removed") {
      auto removed = co_await drive.fs().unlink(root_node, "f");
      REQUIRE(removed.has_value());
      // Although no server ever answers.
      while (running()) co_await sleep_for(5ms);
      for (std::size_t i = 0; i < g.size(); ++i) {
        g.server(i).faults = {};
        g.server(i).release();
      }
      auto settled = co_await drive.settle();
      CHECK(settled.has_value());
      CHECK(drive.write_back().pending().done_files == 0);
    }
    CHECK(g.unfinished_uploads() == 0);
    auto done = co_await closed(drive);
    CHECK(done.has_value());
  });
}

TEST_CASE("a directory whose shares are lost is removed, one that cannot be reached is not") {
  on_grid([](auto executor, FakeGrid& g, Pool& p, grid::Cap root) -> Task<> {
    {
      Drive owner(executor, g, p, root);
      auto made = co_await owner.fs().mkdir(root_node, "d", 0755, somebody);
      REQUIRE(made.has_value());
      auto put = co_await owner.put("beside", pattern(900));
      REQUIRE(put.has_value());
      auto done = co_await closed(owner);
      REQUIRE(done.has_value());
    }
    Drive drive(executor, g, p, root, {.fs = {}});
    auto found = co_await drive.find("d");
    REQUIRE(found.has_value());
    auto cap = co_await drive.fs().xattr(found->id, "user.lafs.cap");
    REQUIRE(cap.has_value());
    drive.fs().forget(found->id, 1);
    const auto si = *grid::Cap::parse(as_text(*cap)).storage_index();
    set_gone(g, true);
    auto removed = co_await drive.fs().rmdir(root_node, "d");
    CHECK_FALSE(removed.has_value());
    set_gone(g, false);
    for (std::size_t i = 0; i < g.size(); ++i)
      for (auto number : g.server(i).shares(si)) g.server(i).delete_share(si, number);
    removed = co_await drive.fs().rmdir(root_node, "d");
    CHECK(removed.has_value());
    auto settled = co_await drive.settle();
    CHECK(settled.has_value());
    Drive other(executor, g, p, root);
    auto names = co_await other.names(root_node);
    REQUIRE(names.has_value());
    CHECK(*names == std::vector<std::string>{"beside"});
    for (auto* one : {&other, &drive}) {
      auto done = co_await closed(*one);
      CHECK(done.has_value());
    }
  });
}

TEST_CASE("a name that cannot be published is stuck, and the others of its directory go on") {
  on_grid([](auto executor, FakeGrid& g, Pool& p, grid::Cap root) -> Task<> {
    Drive drive(executor, g, p, root, {.fs = {}});
    auto put = co_await drive.put("stored", pattern(900));
    REQUIRE(put.has_value());
    auto settled = co_await drive.settle();
    REQUIRE(settled.has_value());
    auto stored = co_await drive.find("stored");
    REQUIRE(stored.has_value());
    // Which no directory takes.
    auto& tree = drive.write_back().tree();
    const auto above = cache::Tree::root_number(root);
    auto bad = tree.make(tree.number_for(above, "bad", true));
    bad->parent = above;
    bad->name = "bad";
    bad->cap = tree.find(stored->id.value)->cap->verifier();
    drive.fs().forget(stored->id, 1);
    auto named = drive.write_back().commit(tree.put(*bad, std::nullopt, false));
    REQUIRE(named.has_value());
    put = co_await drive.put("good", pattern(700));
    REQUIRE(put.has_value());
    Drive other(executor, g, p, root);
    Result<Bytes> got;
    const auto limit = Clock::now() + 60s;
    for (bool there = false; !there && Clock::now() < limit;) {
      co_await sleep_for(5ms);
      got = co_await other.get("good");
      there = got.has_value() && drive.write_back().state_of(*bad).starts_with("stuck");
    }
    REQUIRE(got.has_value());
    CHECK(*got == pattern(700));
    CHECK_THAT(drive.write_back().state_of(*bad), Catch::Contains("verify cap"));
    auto removed = co_await drive.fs().unlink(root_node, "bad");
    CHECK(removed.has_value());
    settled = co_await drive.settle();
    CHECK(settled.has_value());
    for (auto* one : {&other, &drive}) {
      auto done = co_await closed(*one);
      CHECK(done.has_value());
    }
  });
}

TEST_CASE("a full disk slows writers down, then says so, and loses nothing") {
  on_grid([](auto executor, FakeGrid& g, Pool& p, grid::Cap root) -> Task<> {
    Setting setting{.fs = {}, .budget = {.most_bytes = 400'000, .min_free = 0}};
    Drive drive(executor, g, p, root, setting);
    auto names = co_await drive.names(root_node);
    REQUIRE(names.has_value());
    set_gone(g, true);
    int kept = 0;
    Result<> put;
    Duration first{}, last{};
    for (; kept < 1000; ++kept) {
      const auto begin = Clock::now();
      put = co_await drive.put("f" + std::to_string(kept), pattern(20'000, kept));
      if (!put) break;
      (kept == 0 ? first : last) = Clock::now() - begin;
    }
    REQUIRE_FALSE(put.has_value());
    CHECK(put.error().code == Errc::no_space);
    CHECK(kept >= 10);
    CHECK(last > 10ms);
    // Names and removals still have their place.
    auto made = co_await drive.fs().mkdir(root_node, "d", 0755, somebody);
    CHECK(made.has_value());
    for (int i = 0; i < kept; ++i) {
      auto got = co_await drive.get("f" + std::to_string(i));
      REQUIRE(got.has_value());
      CHECK(*got == pattern(20'000, i));
    }
    set_gone(g, false);
    auto settled = co_await drive.settle();
    REQUIRE(settled.has_value());
    // There is room again.
    while (drive.write_back().room() < 200'000) co_await sleep_for(10ms);
    put = co_await drive.put("more", pattern(20'000, 77));
    CHECK(put.has_value());
    settled = co_await drive.settle();
    CHECK(settled.has_value());
    Drive other(executor, g, p, root);
    for (int i = 0; i < kept; ++i) {
      auto got = co_await other.get("f" + std::to_string(i));
      REQUIRE(got.has_value());
      CHECK(*got == pattern(20'000, i));
    }
    for (auto* one : {&other, &drive}) {
      auto done = co_await closed(*one);
      CHECK(done.has_value());
    }
  });
}

TEST_CASE("a damaged cache is reported, and what is intact is saved") {
  on_grid([](auto executor, FakeGrid& g, Pool& p, grid::Cap root) -> Task<> {
    Scratch scratch;
    Setting setting{.fs = {}, .directory = scratch.path};
    {
      Drive drive(executor, g, p, root, setting);
      auto names = co_await drive.names(root_node);
      REQUIRE(names.has_value());
      set_gone(g, true);
      for (int i = 0; i < 6; ++i) {
        auto put = co_await drive.put("f" + std::to_string(i), pattern(5000, i));
        REQUIRE(put.has_value());
      }
      auto synced = co_await drive.write_back().sync();
      REQUIRE(synced.has_value());
      // As after kill -9: there is no checkpoint.
      std::filesystem::copy(scratch.path, scratch.path + ".killed",
                            std::filesystem::copy_options::recursive);
      co_await drive.abandon();
    }
    const auto killed = scratch.path + ".killed";
    const auto journal = killed + "/journal/000001.journal";
    int lost = 0;
    bool warned = true;
    SECTION("a torn end of the journal is no damage") {
      // The last record of all, which nobody was told about, was being written.
      std::fstream file(journal, std::ios::in | std::ios::out | std::ios::binary);
      int records = 0;
      while (position(journal, "rec1", records + 1) >= 0) ++records;
      const auto end = position(journal, "rec1", records);
      const char header[] = "rec1";
      file.seekp(end + 4096);
      file.write(header, 4);
      warned = false;
    }
    SECTION("a flipped byte in the middle of the journal") {
      flip(journal, position(journal, "rec1", 8) + 40);
      lost = 1;
    }
    SECTION("a database that is missing") { std::filesystem::remove_all(killed + "/store"); }
    SECTION("a database that is damaged") {
      flip(killed + "/store/model.mdb", 20);
      flip(killed + "/store/model.mdb", 4096 + 20);
    }
    set_gone(g, false);
    setting.directory = killed;
    Drive drive(executor, g, p, root, setting);
    const auto warnings = drive.write_back().pending().warnings;
    const bool store_gone = !std::filesystem::exists(killed + "/store");
    CHECK_FALSE(store_gone);
    if (!warned) CHECK(warnings.empty());
    if (lost > 0) CHECK_FALSE(warnings.empty());
    int right = 0;
    for (int i = 0; i < 6; ++i) {
      auto got = co_await drive.get("f" + std::to_string(i));
      if (got && *got == pattern(5000, i)) ++right;
      if (got && !got->empty()) CHECK(*got == pattern(5000, i));
    }
    CHECK(right >= 6 - lost);
    auto settled = co_await drive.settle();
    CHECK(settled.has_value());
    auto put = co_await drive.put("after", pattern(100));
    CHECK(put.has_value());
    auto done = co_await closed(drive);
    CHECK(done.has_value());
    std::filesystem::remove_all(killed);
  });
}
