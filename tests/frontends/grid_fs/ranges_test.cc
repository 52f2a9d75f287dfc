// SPDX-License-Identifier: Apache-2.0

// Ranges of files of a grid: copies that take over what the grid has, holes.

#include <catch2/catch.hpp>

#include "tests/frontends/grid_fs/drive.h"

using namespace lafs;
using namespace lafs::fs;
using lafs::fs::test::Drive;
using lafs::fs::test::pattern;
using lafs::fs::test::Setting;
using lafs::fs::test::somebody;
using lafs::grid::fake::FakeGrid;

namespace {

constexpr OpenFlags both_ways{.read = true, .write = true};

template <class Body>
void with_drive(Body body, const Setting& setting = {}) {
  FakeGrid grid({.servers = 5});
  Pool pool(1);
  auto all = [](FakeGrid& g, Pool& p, Body& b, const Setting& s) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto root = co_await Drive::new_root(executor, g, p);
    REQUIRE(root.has_value());
    Drive drive(executor, g, p, *root, s);
    co_await b(drive);
    auto closed = co_await drive.close();
    CHECK(closed.has_value());
  };
  run(all(grid, pool, body, setting));
}

Task<std::string> cap_of(Drive& drive, std::string name) {
  auto found = co_await drive.find(name);
  REQUIRE(found.has_value());
  auto cap = co_await drive.fs().xattr(found->id, "user.lafs.cap");
  drive.fs().forget(found->id, 1);
  co_return cap ? to_text(*cap) : "none: " + cap.error().message();
}

struct Copy {
  Attributes source, target;
  HandleId from, to;
};

Task<Copy> begin_copy(Drive& drive, std::string from, std::string to) {
  Copy out;
  auto source = co_await drive.find(from);
  REQUIRE(source.has_value());
  auto reading = co_await drive.fs().open(source->id, {});
  REQUIRE(reading.has_value());
  auto writing = co_await drive.fs().create(root_node, to, 0644, both_ways, false, somebody);
  REQUIRE(writing.has_value());
  out.source = *source;
  out.target = writing->attributes;
  out.from = reading->handle;
  out.to = writing->handle;
  co_return out;
}

Task<Result<>> end_copy(Drive& drive, Copy copy) {
  auto flushed = co_await drive.fs().flush(copy.to);
  co_await drive.fs().release(copy.to);
  co_await drive.fs().release(copy.from);
  drive.fs().forget(copy.source.id, 1);
  drive.fs().forget(copy.target.id, 1);
  co_return flushed;
}

}  // namespace

TEST_CASE("a whole file that the grid has is copied by its cap, in however many calls") {
  with_drive([](Drive& drive) -> Task<> {
    const auto content = pattern(100'000);
    auto put = co_await drive.put("a", content);
    REQUIRE(put.has_value());
    for (std::uint64_t step : {100'000u, 30'000u}) {
      const auto name = "copy" + std::to_string(step);
      auto copy = co_await begin_copy(drive, "a", name);
      for (std::uint64_t at = 0; at < content.size();) {
        auto n = co_await drive.fs().copy_range(copy.from, at, copy.to, at, step);
        REQUIRE(n.has_value());
        REQUIRE(*n > 0);
        at += *n;
      }
      // Nothing of it is here: it would be charged.
      auto early = co_await drive.fs().read(copy.to, 50'000, 1000);
      REQUIRE(early.has_value());
      CHECK(std::ranges::equal(*early, ByteView(content).subspan(50'000, 1000)));
      auto ended = co_await end_copy(drive, copy);
      CHECK(ended.has_value());
      const auto first = co_await cap_of(drive, "a"), second = co_await cap_of(drive, name);
      CHECK(first == second);
      auto read = co_await drive.get(name);
      REQUIRE(read.has_value());
      CHECK(*read == content);
    }
  });
}

TEST_CASE("copying a stored file moves no bytes") {
  with_drive([](Drive& drive) -> Task<> {
    auto put = co_await drive.put("a", pattern(200'000));
    REQUIRE(put.has_value());
    const auto room = drive.write_back().room();
    auto copy = co_await begin_copy(drive, "a", "b");
    auto n = co_await drive.fs().copy_range(copy.from, 0, copy.to, 0, 1 << 30);
    CHECK(n == 200'000u);
    CHECK(drive.write_back().room() + 100'000 > room);
    auto ended = co_await end_copy(drive, copy);
    CHECK(ended.has_value());
  });
}

TEST_CASE("a copy that is changed afterwards has its own content") {
  with_drive([](Drive& drive) -> Task<> {
    auto content = pattern(60'000);
    auto put = co_await drive.put("a", content);
    REQUIRE(put.has_value());
    auto copy = co_await begin_copy(drive, "a", "b");
    auto n = co_await drive.fs().copy_range(copy.from, 0, copy.to, 0, 60'000);
    CHECK(n == 60'000u);
    auto written = co_await drive.fs().write(copy.to, 1000, pattern(10, 9));
    CHECK(written.has_value());
    auto ended = co_await end_copy(drive, copy);
    CHECK(ended.has_value());
    auto old = co_await drive.get("a");
    CHECK(old == content);
    std::ranges::copy(pattern(10, 9), content.begin() + 1000);
    auto changed = co_await drive.get("b");
    CHECK(changed == content);
  });
}

TEST_CASE("a copy over a longer file, of a part, and of what is not stored yet are byte copies") {
  with_drive([](Drive& drive) -> Task<> {
    const auto content = pattern(50'000), longer = pattern(80'000, 5);
    auto put = co_await drive.put("a", content);
    REQUIRE(put.has_value());
    put = co_await drive.put("b", longer);
    REQUIRE(put.has_value());
    auto copy = co_await begin_copy(drive, "a", "b");
    auto n = co_await drive.fs().copy_range(copy.from, 0, copy.to, 0, 50'000);
    CHECK(n == 50'000u);
    n = co_await drive.fs().copy_range(copy.from, 100, copy.to, 79'900, 500);
    CHECK(n == 500u);
    auto ended = co_await end_copy(drive, copy);
    CHECK(ended.has_value());
    auto wanted = content;
    append(wanted, ByteView(longer).subspan(50'000));
    wanted.resize(80'400);
    std::ranges::copy(ByteView(content).subspan(100, 500), wanted.begin() + 79'900);
    auto read = co_await drive.get("b");
    CHECK(read == wanted);

    auto fresh = co_await drive.fs().create(root_node, "new", 0644, both_ways, true, somebody);
    REQUIRE(fresh.has_value());
    auto written = co_await drive.fs().write(fresh->handle, 0, content);
    CHECK(written.has_value());
    copy = co_await begin_copy(drive, "new", "copy of new");
    n = co_await drive.fs().copy_range(copy.from, 0, copy.to, 0, 1 << 20);
    CHECK(n == 50'000u);
    ended = co_await end_copy(drive, copy);
    CHECK(ended.has_value());
    co_await drive.fs().release(fresh->handle);
    drive.fs().forget(fresh->attributes.id, 1);
    read = co_await drive.get("copy of new");
    CHECK(read == content);
  });
}

TEST_CASE("a copy that was not brought to the grid yet is there after a crash") {
  FakeGrid grid({.servers = 5});
  Pool pool(1);
  auto body = [](FakeGrid& g, Pool& p) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto root = co_await Drive::new_root(executor, g, p);
    REQUIRE(root.has_value());
    auto name = (std::filesystem::temp_directory_path() / "lafs-copies-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()));
    const auto content = pattern(70'000);
    lafs::fs::test::Setting setting;
    setting.directory = name;
    {
      Drive drive(executor, g, p, *root, setting);
      auto put = co_await drive.put("a", content);
      REQUIRE(put.has_value());
      auto copy = co_await begin_copy(drive, "a", "b");
      auto n = co_await drive.fs().copy_range(copy.from, 0, copy.to, 0, 70'000);
      CHECK(n == 70'000u);
      auto ignored = co_await drive.write_back().sync();  // and no flush, no close
      CHECK(ignored.has_value());
      co_await drive.fs().release(copy.to);
      co_await drive.fs().release(copy.from);
      co_await drive.abandon();
    }
    {
      Drive drive(executor, g, p, *root, setting);
      auto read = co_await drive.get("b");
      CHECK(read == content);
      auto settled = co_await drive.settle();
      CHECK(settled.has_value());
      const auto first = co_await cap_of(drive, "a"), second = co_await cap_of(drive, "b");
      CHECK(first == second);
      auto closed = co_await drive.close();
      CHECK(closed.has_value());
    }
    std::filesystem::remove_all(name);
  };
  run(body(grid, pool));
}

TEST_CASE("punched ranges read as zeros, are holes, and are stored as zeros") {
  with_drive([](Drive& drive) -> Task<> {
    const auto content = pattern(64 * 1024);
    auto made = co_await drive.fs().create(root_node, "f", 0644, both_ways, true, somebody);
    REQUIRE(made.has_value());
    auto written = co_await drive.fs().write(made->handle, 0, content);
    CHECK(written.has_value());
    auto punched = co_await drive.fs().allocate(made->handle, 8192, 8192, AllocateMode::punch_hole);
    CHECK(punched.has_value());
    auto hole = co_await drive.fs().seek(made->handle, 0, SeekFor::hole);
    CHECK(hole == 8192u);
    auto data = co_await drive.fs().seek(made->handle, 8192, SeekFor::data);
    CHECK(data == 16384u);
    auto flushed = co_await drive.fs().flush(made->handle);
    CHECK(flushed.has_value());
    co_await drive.fs().release(made->handle);
    drive.fs().forget(made->attributes.id, 1);
    auto wanted = content;
    std::fill(wanted.begin() + 8192, wanted.begin() + 16384, 0);
    auto read = co_await drive.get("f");
    CHECK(read == wanted);
  });
}

TEST_CASE("what was cut off a file that waits is given back to the disk once that lasts") {
  with_drive(
      [](Drive& drive) -> Task<> {
        const auto before = drive.write_back().room();
        auto made = co_await drive.fs().create(root_node, "f", 0644, both_ways, true, somebody);
        REQUIRE(made.has_value());
        auto written = co_await drive.fs().write(made->handle, 0, pattern(600'000));
        CHECK(written.has_value());
        CHECK(drive.write_back().room() + 600'000 <= before);
        Changes shorter;
        shorter.size = 10'000;
        auto cut = co_await drive.fs().change(made->attributes.id, shorter, made->handle);
        CHECK(cut.has_value());
        const auto limit = Clock::now() + std::chrono::seconds(60);
        while (drive.write_back().room() + 20'000 < before && Clock::now() < limit)
          co_await sleep_for(std::chrono::milliseconds(5));
        CHECK(drive.write_back().room() + 20'000 >= before);
        auto read = co_await drive.fs().read(made->handle, 0, 20'000);
        auto wanted = pattern(600'000);
        wanted.resize(10'000);
        CHECK(read == wanted);
        co_await drive.fs().release(made->handle);
        drive.fs().forget(made->attributes.id, 1);
      },
      {.budget = {.most_bytes = 1'000'000, .min_free = 0}});
}
