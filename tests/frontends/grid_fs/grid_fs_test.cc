// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/grid_fs.h"

#include <catch2/catch.hpp>

#include "tests/frontends/grid_fs/drive.h"

using namespace lafs;
using namespace lafs::fs;
using lafs::fs::test::Drive;
using lafs::fs::test::pattern;
using lafs::fs::test::somebody;
using lafs::grid::fake::FakeGrid;
using namespace std::chrono_literals;

namespace {

// Runs `body(servers, drive, root cap)` and closes the drive, which must succeed.
template <class Body>
void with_drive(Body body, std::size_t servers = 5) {
  FakeGrid grid({.servers = servers});
  Pool pool(1);
  auto all = [](FakeGrid& g, Pool& p, Body& b) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto root = co_await Drive::new_root(executor, g, p);
    REQUIRE(root.has_value());
    Drive drive(executor, g, p, *root);
    co_await b(g, drive, *root, p);
    auto closed = co_await drive.close();
    CHECK(closed.has_value());
  };
  run(all(grid, pool, body));
}

}  // namespace

TEST_CASE("what was flushed is what another node reads") {
  with_drive([](FakeGrid& g, Drive& drive, grid::Cap root, Pool& pool) -> Task<> {
    auto made = co_await drive.fs().mkdir(root_node, "dir", 0750, somebody);
    REQUIRE(made.has_value());
    for (std::size_t n : {0u, 1u, 55u, 56u, 4096u, 4097u, 50'000u}) {
      auto done = co_await drive.put(made->id, "f" + std::to_string(n), pattern(n));
      REQUIRE(done.has_value());
    }
    auto link = co_await drive.fs().symlink(made->id, "link", "f1/../f56", somebody);
    REQUIRE(link.has_value());
    auto settled = co_await drive.settle();
    REQUIRE(settled.has_value());

    auto executor = co_await asio::this_coro::executor;
    Drive other(executor, g, pool, root);
    for (std::size_t n : {0u, 1u, 55u, 56u, 4096u, 4097u, 50'000u}) {
      auto read = co_await other.get("dir/f" + std::to_string(n));
      REQUIRE(read.has_value());
      CHECK(*read == pattern(n));
    }
    auto seen = co_await other.find("dir/link");
    REQUIRE(seen.has_value());
    CHECK(seen->kind == Kind::symlink);
    auto target = co_await other.fs().readlink(seen->id);
    CHECK(target == "f1/../f56");
    auto dir = co_await other.find("dir");
    REQUIRE(dir.has_value());
    CHECK(dir->mode == 0750);
    CHECK(dir->uid == 1000);
    auto closed = co_await other.close();
    CHECK(closed.has_value());
  });
}

TEST_CASE("two nodes that add different names at once both keep theirs") {
  with_drive([](FakeGrid& g, Drive& drive, grid::Cap root, Pool& pool) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Drive other(executor, g, pool, root);
    TaskGroup group(executor);
    auto work = [](Drive& d, std::string prefix, int& failed) -> Task<> {
      for (int i = 0; i < 5; ++i) {
        auto done = co_await d.put(prefix + std::to_string(i), pattern(100));
        if (!done) UNSCOPED_INFO(done.error().message());
        failed += !done.has_value();
      }
    };
    int failed = 0;
    group.spawn(work(drive, "a", failed));
    group.spawn(work(other, "b", failed));
    co_await group.join();
    CHECK(failed == 0);
    for (auto* d : {&drive, &other}) {
      auto names = co_await d->names(root_node);
      REQUIRE(names.has_value());
      CHECK(names->size() == 10);
    }
    auto closed = co_await other.close();
    CHECK(closed.has_value());
  });
}

TEST_CASE("what cannot be stored is reported, kept, and stored when the servers are back") {
  with_drive([](FakeGrid& g, Drive& drive, grid::Cap root, Pool& pool) -> Task<> {
    for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone();
    // The directory was never read, so even the name cannot be looked at: nothing is accepted.
    auto refused = co_await drive.put("early", pattern(5000));
    CHECK_FALSE(refused.has_value());
    for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone(false);
    auto names = co_await drive.names(root_node);
    REQUIRE(names.has_value());
    CHECK(names->empty());

    for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone();
    auto flushed = co_await drive.put("late", pattern(5000));
    CHECK_FALSE(flushed.has_value());
    auto there = co_await drive.find("late");  // our own write is visible all the same
    REQUIRE(there.has_value());
    auto state = co_await drive.fs().xattr(there->id, "user.lafs.state");
    REQUIRE(state.has_value());
    CHECK(as_text(*state).starts_with("stuck: "));
    auto local = co_await drive.get("late");
    REQUIRE(local.has_value());
    CHECK(*local == pattern(5000));

    for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone(false);
    for (int i = 0; i < 500; ++i) {
      state = co_await drive.fs().xattr(there->id, "user.lafs.state");
      if (as_text(*state) == "clean") break;
      co_await sleep_for(10ms);
    }
    CHECK(as_text(*state) == "clean");
    auto executor = co_await asio::this_coro::executor;
    Drive other(executor, g, pool, root);
    auto read = co_await other.get("late");
    REQUIRE(read.has_value());
    CHECK(*read == pattern(5000));
    auto closed = co_await other.close();
    CHECK(closed.has_value());
  });
}

TEST_CASE("an attribute tells how safe a file is") {
  with_drive([](FakeGrid& g, Drive& drive, grid::Cap, Pool&) -> Task<> {
    auto put = co_await drive.put("f", pattern(5000));
    REQUIRE(put.has_value());
    auto found = co_await drive.find("f");
    REQUIRE(found.has_value());
    auto health = co_await drive.fs().xattr(found->id, "user.lafs.health");
    REQUIRE(health.has_value());
    CHECK(as_text(*health).starts_with("healthy: 5 of 5 shares"));
    g.server(0).set_gone();
    health = co_await drive.fs().xattr(found->id, "user.lafs.health");
    REQUIRE(health.has_value());
    CHECK(as_text(*health).find("4 of 5 shares") != std::string::npos);
    g.server(0).set_gone(false);
    drive.fs().forget(found->id, 1);
  });
}

TEST_CASE("closing says what could not be stored") {
  FakeGrid grid({.servers = 5});
  Pool pool(1);
  auto body = [](FakeGrid& g, Pool& p) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto root = co_await Drive::new_root(executor, g, p);
    REQUIRE(root.has_value());
    Drive drive(executor, g, p, *root);
    auto listed = co_await drive.names(root_node);
    REQUIRE(listed.has_value());
    for (std::size_t i = 0; i < g.size(); ++i) g.server(i).set_gone();
    auto flushed = co_await drive.put("doomed", pattern(5000));
    CHECK_FALSE(flushed.has_value());
    auto closed = co_await drive.close();
    REQUIRE_FALSE(closed.has_value());
    CHECK(closed.error().context.find("doomed") != std::string::npos);
  };
  run(body(grid, pool));
}

TEST_CASE("everything reads with n-k servers gone") {
  with_drive([](FakeGrid& g, Drive& drive, grid::Cap root, Pool& pool) -> Task<> {
    auto made = co_await drive.fs().mkdir(root_node, "d", 0755, somebody);
    REQUIRE(made.has_value());
    auto done = co_await drive.put(made->id, "file", pattern(30'000));
    REQUIRE(done.has_value());
    for (std::size_t a = 0; a < 5; ++a) {
      for (std::size_t b = a + 1; b < 5; ++b) {
        g.server(a).set_gone();
        g.server(b).set_gone();
        auto executor = co_await asio::this_coro::executor;
        Drive cold(executor, g, pool, root);
        auto read = co_await cold.get("d/file");
        REQUIRE(read.has_value());
        CHECK(*read == pattern(30'000));
        auto closed = co_await cold.close();
        CHECK(closed.has_value());
        g.server(a).set_gone(false);
        g.server(b).set_gone(false);
      }
    }
  });
}

TEST_CASE("a file keeps what was written when it is renamed while open") {
  with_drive([](FakeGrid&, Drive& drive, grid::Cap, Pool&) -> Task<> {
    auto old = co_await drive.put("target", pattern(900, 7));
    REQUIRE(old.has_value());
    const OpenFlags flags{.read = true, .write = true};
    auto opened = co_await drive.fs().create(root_node, "temp", 0600, flags, true, somebody);
    REQUIRE(opened.has_value());
    const auto first = pattern(700), second = pattern(300, 9);
    auto written = co_await drive.fs().write(opened->handle, 0, first);
    REQUIRE(written.has_value());
    auto renamed =
        co_await drive.fs().rename(root_node, "temp", root_node, "target", RenameMode::replace);
    REQUIRE(renamed.has_value());
    written = co_await drive.fs().write(opened->handle, 700, second);
    REQUIRE(written.has_value());
    auto flushed = co_await drive.fs().flush(opened->handle);
    REQUIRE(flushed.has_value());
    co_await drive.fs().release(opened->handle);
    auto read = co_await drive.get("target");
    REQUIRE(read.has_value());
    auto whole = first;
    append(whole, second);
    CHECK(*read == whole);
    auto names = co_await drive.names(root_node);
    CHECK(names == std::vector<std::string>{"target"});
  });
}

TEST_CASE("a part of a file is changed and the rest stays") {
  with_drive([](FakeGrid& g, Drive& drive, grid::Cap root, Pool& pool) -> Task<> {
    auto plain = pattern(20'000);
    auto done = co_await drive.put("f", plain);
    REQUIRE(done.has_value());
    auto found = co_await drive.find("f");
    REQUIRE(found.has_value());
    const OpenFlags flags{.read = true, .write = true};
    auto opened = co_await drive.fs().open(found->id, flags);
    REQUIRE(opened.has_value());
    const auto patch = pattern(500, 99);
    auto written = co_await drive.fs().write(opened->handle, 9'000, patch);
    REQUIRE(written.has_value());
    std::copy(patch.begin(), patch.end(), plain.begin() + 9'000);
    Changes cut{.size = 15'000};
    auto changed = co_await drive.fs().change(found->id, cut, opened->handle);
    REQUIRE(changed.has_value());
    plain.resize(15'000);
    co_await drive.fs().release(opened->handle);  // stores what no flush has stored
    auto settled = co_await drive.settle();
    REQUIRE(settled.has_value());
    auto executor = co_await asio::this_coro::executor;
    Drive other(executor, g, pool, root);
    auto read = co_await other.get("f");
    REQUIRE(read.has_value());
    CHECK(*read == plain);
    auto closed = co_await other.close();
    CHECK(closed.has_value());
  });
}

TEST_CASE("attributes survive a new mount, and their loss leaves sane defaults") {
  with_drive([](FakeGrid& g, Drive& drive, grid::Cap root, Pool& pool) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto done = co_await drive.put("f", pattern(10));
    REQUIRE(done.has_value());
    auto found = co_await drive.find("f");
    Changes changes{.mode = 0640, .uid = 7, .gid = 8, .modified = timespec{1234567890, 987654321}};
    auto changed = co_await drive.fs().change(found->id, changes, std::nullopt);
    REQUIRE(changed.has_value());
    auto set =
        co_await drive.fs().set_xattr(found->id, "user.colour", to_bytes("blue"), XattrMode::set);
    REQUIRE(set.has_value());
    auto settled = co_await drive.settle();
    REQUIRE(settled.has_value());
    {
      Drive other(executor, g, pool, root);
      auto seen = co_await other.find("f");
      REQUIRE(seen.has_value());
      CHECK(seen->mode == 0640);
      CHECK(seen->uid == 7);
      CHECK(seen->gid == 8);
      CHECK(seen->times.modified.tv_sec == 1234567890);
      CHECK(seen->times.modified.tv_nsec == 987654321);
      auto colour = co_await other.fs().xattr(seen->id, "user.colour");
      REQUIRE(colour.has_value());
      CHECK(as_text(*colour) == "blue");
      auto closed = co_await other.close();
      CHECK(closed.has_value());
    }
    // Another client rewrites the entry without our key.
    auto directory = co_await drive.client().directory(root);
    REQUIRE(directory.has_value());
    std::vector<grid::Edit> edits;
    auto strip = [](grid::Metadata) { return grid::Metadata(); };
    edits.push_back(grid::Edit::SetMetadata{.name = "f", .change = strip});
    grid::EditOptions options{.now = 1700000000.0};
    auto edited = co_await (*directory)->edit(std::move(edits), std::move(options));
    REQUIRE(edited.has_value());
    Drive other(executor, g, pool, root);
    auto seen = co_await other.find("f");
    REQUIRE(seen.has_value());
    CHECK(seen->mode == 0644);
    CHECK(seen->kind == Kind::file);
    CHECK(seen->times.modified.tv_sec == 1700000000);
    auto closed = co_await other.close();
    CHECK(closed.has_value());
  });
}

TEST_CASE("a directory that is not empty for somebody else is not removed") {
  with_drive([](FakeGrid& g, Drive& drive, grid::Cap root, Pool& pool) -> Task<> {
    auto made = co_await drive.fs().mkdir(root_node, "d", 0755, somebody);
    REQUIRE(made.has_value());
    auto settled = co_await drive.settle();
    REQUIRE(settled.has_value());
    auto executor = co_await asio::this_coro::executor;
    Drive other(executor, g, pool, root);
    auto seen = co_await other.find("d");
    REQUIRE(seen.has_value());
    auto put = co_await other.put(seen->id, "theirs", pattern(5));
    REQUIRE(put.has_value());
    auto removed = co_await drive.fs().rmdir(root_node, "d");
    REQUIRE_FALSE(removed.has_value());
    CHECK(removed.error().code == Errc::not_empty);
    auto closed = co_await other.close();
    CHECK(closed.has_value());
  });
}

TEST_CASE("a read cap of a directory mounts read-only") {
  FakeGrid grid({.servers = 5});
  Pool pool(1);
  auto body = [](FakeGrid& g, Pool& p) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto root = co_await Drive::new_root(executor, g, p);
    REQUIRE(root.has_value());
    Drive owner(executor, g, p, *root);
    auto done = co_await owner.put("f", pattern(500));
    REQUIRE(done.has_value());
    Drive guest(executor, g, p, *root->read_only());
    auto read = co_await guest.get("f");
    REQUIRE(read.has_value());
    CHECK(*read == pattern(500));
    auto refused = co_await guest.put("g", pattern(5));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::read_only);
    auto found = co_await guest.find("f");
    auto opened = co_await guest.fs().open(found->id, {.read = true, .write = true});
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == Errc::read_only);
    auto closed = co_await guest.close();
    CHECK(closed.has_value());
    closed = co_await owner.close();
    CHECK(closed.has_value());
  };
  run(body(grid, pool));
}

TEST_CASE("edits that come while a publish is under way go out together") {
  with_drive([](FakeGrid& g, Drive& drive, grid::Cap, Pool&) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto warm = co_await drive.names(root_node);
    REQUIRE(warm.has_value());
    const auto before = g.calls(grid::fake::Verb::read_test_write);
    TaskGroup group(executor);
    int made = 0;
    auto make = [](Drive& d, int i, int& count) -> Task<> {
      auto link = co_await d.fs().symlink(root_node, "l" + std::to_string(i), "x", somebody);
      count += link.has_value();
    };
    for (int i = 0; i < 40; ++i) group.spawn(make(drive, i, made));
    co_await group.join();
    CHECK(made == 40);
    auto settled = co_await drive.settle();
    REQUIRE(settled.has_value());
    // One publish or two for all: not forty.
    CHECK(g.calls(grid::fake::Verb::read_test_write) - before <= 5 * 5);
  });
}

TEST_CASE("closing stores what handles that are still open have written") {
  FakeGrid grid({.servers = 5});
  Pool pool(1);
  auto body = [](FakeGrid& g, Pool& p) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto root = co_await Drive::new_root(executor, g, p);
    REQUIRE(root.has_value());
    Drive drive(executor, g, p, *root);
    const OpenFlags flags{.read = true, .write = true};
    auto opened = co_await drive.fs().create(root_node, "f", 0644, flags, true, somebody);
    REQUIRE(opened.has_value());
    const auto data = pattern(6000);
    auto written = co_await drive.fs().write(opened->handle, 0, data);
    REQUIRE(written.has_value());
    auto nameless = co_await drive.fs().create(root_node, "gone", 0644, flags, true, somebody);
    REQUIRE(nameless.has_value());
    written = co_await drive.fs().write(nameless->handle, 0, data);
    auto unlinked = co_await drive.fs().unlink(root_node, "gone");
    REQUIRE(unlinked.has_value());
    auto listing = co_await drive.fs().open_directory(root_node);
    REQUIRE(listing.has_value());
    auto closed = co_await drive.close();
    REQUIRE(closed.has_value());
    Drive other(executor, g, p, *root);
    auto read = co_await other.get("f");
    REQUIRE(read.has_value());
    CHECK(*read == data);
    auto names = co_await other.names(root_node);
    CHECK(names == std::vector<std::string>{"f"});
    closed = co_await other.close();
    CHECK(closed.has_value());
  };
  run(body(grid, pool));
}
