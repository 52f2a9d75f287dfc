// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/mutable_file.h"

#include "grid/mutable/key_pool.h"
#include "tests/grid/mutable/mutable_test.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::test;
using fake::FakeGrid;
using fake::Verb;

namespace {

std::string long_text(std::size_t length) {
  std::string out;
  while (out.size() < length) out += "line " + std::to_string(out.size()) + "\n";
  out.resize(length);
  return out;
}

void every_server(FakeGrid& grid, auto change) {
  for (std::size_t i = 0; i < grid.size(); ++i) change(grid.server(i));
}

}  // namespace

TEST_CASE("a mutable file is created, read, overwritten and modified") {
  for (const auto format : {MutableFormat::sdmf, MutableFormat::mdmf}) {
    for (const std::size_t length : {0u, 1u, 100u, 5000u, 300000u}) {
      INFO(length);
      FakeGrid grid;
      const auto first = long_text(length);
      const auto cap = create(grid, first, 3, 10, format);
      CHECK(read(grid, cap) == first);
      CHECK(read(grid, *cap.read_only()) == first);
      CHECK(grid.share_map(*cap.storage_index()).size() == 10);

      auto second = overwrite(grid, cap, "second");
      REQUIRE(second);
      CHECK(second->seqnum == 2);
      CHECK(read(grid, cap) == "second");
      const auto third = append_to(grid, cap, " third");
      REQUIRE(third);
      CHECK(third->seqnum == 3);
      CHECK(read(grid, cap) == "second third");
      CHECK(try_read(grid, cap)->version == *third);
    }
  }
}

TEST_CASE("extreme encodings work") {
  for (const auto& [k, n] : {std::pair{1, 1}, {1, 3}, {4, 4}, {3, 255}, {255, 255}}) {
    INFO(k << " of " << n);
    FakeGrid grid({.servers = 5});
    const auto cap = create(grid, "something", k, n);
    CHECK(read(grid, cap) == "something");
    CHECK(append_to(grid, cap, " more"));
    CHECK(read(grid, cap) == "something more");
    // Read from the shares that hold no piece of the contents as it is.
    if (n > k) CHECK(grid.share_map(*cap.storage_index()).size() == static_cast<std::size_t>(n));
  }
}

TEST_CASE("a probe tells the version without reading the contents") {
  FakeGrid grid;
  const auto cap = create(grid, long_text(100000));
  const auto written = overwrite(grid, cap, long_text(200000));
  REQUIRE(written);
  every_server(grid, [](auto& s) { s.reset_counters(); });
  const auto version =
      with_file(grid, *cap.read_only(), [](MutableFile& file) { return file.probe(); });
  CHECK(version == *written);
  std::uint64_t bytes = 0;
  every_server(grid, [&](auto& s) { bytes += s.bytes_read(); });
  CHECK(bytes <= 10 * 4000);
}

TEST_CASE("caps decide what may be done") {
  FakeGrid grid;
  const auto cap = create(grid, "x");
  CHECK(overwrite(grid, *cap.read_only(), "y").error().code == Errc::read_only);
  CHECK(append_to(grid, *cap.read_only(), "y").error().code == Errc::read_only);
  CHECK(try_read(grid, *cap.verifier()).error().code == Errc::bad_cap);
  CHECK(try_read(grid, Cap(LitCap{})).error().code == Errc::bad_cap);
  CHECK(read(grid, cap) == "x");
}

TEST_CASE("a change that changes nothing writes nothing") {
  FakeGrid grid;
  const auto cap = create(grid, "same");
  const auto written = [&] {
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < grid.size(); ++i) out += grid.server(i).bytes_written();
    return out;
  };
  const auto before = written();
  const auto nothing = with_file(grid, cap, [](MutableFile& file) {
    return file.modify(
        [](const MutableContents&) -> Result<std::shared_ptr<const Bytes>> { return nullptr; });
  });
  REQUIRE(nothing);
  CHECK(nothing->seqnum == 1);
  const auto same = append_to(grid, cap, "same");
  REQUIRE(same);
  CHECK(same->seqnum == 1);
  CHECK(written() == before);
  // Its error is passed on.
  const auto failed = with_file(grid, cap, [](MutableFile& file) {
    return file.modify([](const MutableContents&) -> Result<std::shared_ptr<const Bytes>> {
      return fail(Errc::exists, "so");
    });
  });
  CHECK(failed.error().code == Errc::exists);
}

TEST_CASE("reading and writing work with servers gone") {
  FakeGrid grid;
  const auto cap = create(grid, "one");
  const auto si = *cap.storage_index();
  for (std::size_t i = 0; i < 7; ++i) grid.permuted(si, i).set_gone();
  CHECK(read(grid, cap) == "one");
  CHECK(append_to(grid, cap, " two"));
  CHECK(read(grid, cap) == "one two");
  // The shares of those that are gone found other homes.
  CHECK(grid.share_map(si).size() == 10);
  grid.permuted(si, 7).set_gone();
  grid.permuted(si, 8).set_gone();
  grid.permuted(si, 9).set_gone();
  CHECK(try_read(grid, cap).error().code == Errc::no_servers);
  CHECK(append_to(grid, cap, " three").error().code == Errc::no_servers);
}

TEST_CASE("servers that come back with old shares do not bring old contents back") {
  FakeGrid grid;
  const auto cap = create(grid, "old");
  const auto si = *cap.storage_index();
  for (std::size_t i = 0; i < 5; ++i) grid.permuted(si, i).set_gone();
  REQUIRE(overwrite(grid, cap, "new"));
  for (std::size_t i = 0; i < 5; ++i) grid.permuted(si, i).set_gone(false);
  CHECK(read(grid, cap) == "new");
  REQUIRE(append_to(grid, cap, "er"));
  // The next write brings every old share up to date, wherever it is.
  for (std::size_t i = 5; i < 10; ++i) grid.permuted(si, i).set_gone();
  CHECK(read(grid, cap) == "newer");
}

TEST_CASE("a file that nobody knows is not found, and with servers gone perhaps there") {
  FakeGrid grid;
  FakeGrid other;
  const auto cap = create(other, "elsewhere");
  CHECK(try_read(grid, cap).error().code == Errc::not_found);
  CHECK(append_to(grid, cap, "x").error().code == Errc::not_found);
  CHECK(overwrite(grid, cap, "x").error().code == Errc::not_found);
  grid.server(3).set_gone();
  CHECK(try_read(grid, cap).error().code == Errc::not_enough_shares);
  FakeGrid none({.servers = 0});
  CHECK(try_read(none, cap).error().code == Errc::no_servers);
  CHECK(try_create(none, "x").error().code == Errc::no_servers);
}

TEST_CASE("silent servers are not waited for when the others know enough") {
  FakeGrid grid;
  const auto cap = create(grid, "patient");
  const auto si = *cap.storage_index();
  grid.permuted(si, 0).faults.stalled = true;
  grid.permuted(si, 4).faults.stalled = true;
  // A deadline that would hang the test: nobody may wait for it.
  auto context = context_of(grid);
  context.deadline = std::chrono::hours(1);
  struct Body {
    static Task<std::string> run(MutableContext context, Cap cap) {
      MutableFile file(co_await asio::this_coro::executor, context, cap);
      auto first = co_await file.read();
      auto probe = co_await file.probe();
      auto written = co_await file.modify(appending(" indeed"));
      auto second = co_await file.read();
      co_await file.close();
      REQUIRE(first);
      REQUIRE(probe);
      REQUIRE(written);
      REQUIRE(second);
      CHECK(*probe == first->version);
      CHECK(second->version == *written);
      co_return to_text(*first->bytes) + "|" + to_text(*second->bytes);
    }
  };
  CHECK(run(Body::run(context, cap)) == "patient|patient indeed");
}

TEST_CASE("when too many servers are silent, the deadline ends the waiting") {
  FakeGrid grid;
  const auto cap = create(grid, "x");
  every_server(grid, [](auto& s) { s.faults.stalled = true; });
  CHECK(try_read(grid, cap).error().code == Errc::no_servers);
  CHECK_FALSE(try_create(grid, "y", 3, 10, MutableFormat::sdmf, 1));
}

TEST_CASE("servers that become silent while a version is written count as failed") {
  FakeGrid grid;
  const auto cap = create(grid, "x");
  const auto si = *cap.storage_index();
  for (std::size_t i = 0; i < 4; ++i) {
    grid.permuted(si, i).faults.stalled = true;
    grid.permuted(si, i).faults.only = {Verb::read_test_write};
  }
  CHECK(append_to(grid, cap, "y"));
  every_server(grid, [](auto& s) { s.release(); });
  CHECK(read(grid, cap) == "xy");
}

TEST_CASE("slow servers are used when there are no others") {
  FakeGrid grid({.servers = 3});
  const auto cap = create(grid, long_text(20000), 2, 3);
  every_server(grid, [](auto& s) { s.faults.delay = std::chrono::milliseconds(15); });
  CHECK(read(grid, cap) == long_text(20000));
  CHECK(append_to(grid, cap, "!"));
  CHECK(read(grid, cap) == long_text(20000) + "!");
}

TEST_CASE("damaged shares are replaced by others, reported, and mended by the next write") {
  for (const std::uint64_t offset : {5u, 50u, 300u, 500u, 700u, 20000u}) {
    INFO(offset);
    FakeGrid grid;
    const auto contents = long_text(100000);
    const auto cap = create(grid, contents);
    const auto si = *cap.storage_index();
    for (const auto& [number, servers] : grid.share_map(si)) {
      if (number.value < 6) {
        REQUIRE(grid.server(*servers.begin()).flip_bit(si, number, offset, 3));
      }
    }
    CHECK(read(grid, cap) == contents);
    const auto reports = grid.corruption_reports();
    CHECK(reports >= 3);
    REQUIRE(overwrite(grid, cap, "mended"));
    every_server(grid, [](auto& s) { s.reset_counters(); });
    CHECK(read(grid, cap) == "mended");
    CHECK(grid.corruption_reports() == 0);
    CHECK(grid.share_map(si).size() == 10);
  }
}

TEST_CASE("with fewer than k good shares a file cannot be read, and never reads wrong") {
  FakeGrid grid;
  const auto cap = create(grid, "precious");
  const auto si = *cap.storage_index();
  for (const auto& [number, servers] : grid.share_map(si)) {
    if (number.value < 8) grid.server(*servers.begin()).flip_bit(si, number, 700);
  }
  CHECK(try_read(grid, cap).error().code == Errc::not_enough_shares);
  CHECK(append_to(grid, cap, "x").error().code == Errc::not_enough_shares);
}

TEST_CASE("full and read-only servers get no new shares, and keep their old ones current") {
  FakeGrid grid;
  for (std::size_t i = 0; i < 4; ++i) grid.server(i).faults.read_only = true;
  const auto cap = create(grid, "x");
  const auto si = *cap.storage_index();
  for (std::size_t i = 0; i < 4; ++i) CHECK(grid.server(i).shares(si).empty());
  CHECK(grid.share_map(si).size() == 10);
  for (std::size_t i = 4; i < 10; ++i) grid.server(i).faults.read_only = true;
  REQUIRE(append_to(grid, cap, "y"));
  for (std::size_t i = 4; i < 7; ++i) grid.server(i).set_gone();
  CHECK(read(grid, cap) == "xy");
  // Nobody takes a share.
  CHECK(try_create(grid, "z", 3, 10, MutableFormat::sdmf, 1).error().code == Errc::no_servers);
}

TEST_CASE("a full disk is named, and other servers take what it refused") {
  FakeGrid grid;
  for (std::size_t i = 0; i < 5; ++i) {
    grid.server(i).faults.broken = Errc::no_space;
    grid.server(i).faults.only = {Verb::read_test_write};
  }
  const auto cap = create(grid, "x");
  CHECK(grid.share_map(*cap.storage_index()).size() == 10);
  for (std::size_t i = 5; i < 10; ++i) {
    grid.server(i).faults.broken = Errc::no_space;
    grid.server(i).faults.only = {Verb::read_test_write};
  }
  CHECK(overwrite(grid, cap, "y").error().code == Errc::no_space);
  CHECK(read(grid, cap) == "x");
}

TEST_CASE("a server with another write enabler is left out of a publish") {
  FakeGrid grid;
  const auto cap = create(grid, "x");
  for (std::size_t i = 0; i < 3; ++i) {
    grid.server(i).faults.broken = Errc::unauthorized;
    grid.server(i).faults.only = {Verb::read_test_write};
  }
  CHECK(append_to(grid, cap, "y"));
  CHECK(read(grid, cap) == "xy");
}

TEST_CASE("an overwrite takes the node's encoding, a modification keeps the file's") {
  FakeGrid grid({.servers = 12});
  const auto cap = create(grid, "x", 3, 10);
  const auto si = *cap.storage_index();
  REQUIRE(overwrite(grid, cap, "y", 4, 12));
  CHECK(grid.share_map(si).size() == 12);
  REQUIRE(append_to(grid, cap, "z"));  // by a node of 3-of-10
  std::size_t with_k4 = 0;
  for (const auto& [number, servers] : grid.share_map(si)) {
    if ((*grid.server(*servers.begin()).get_share(si, number))[57] == 4) ++with_k4;
  }
  CHECK(with_k4 == 12);
  // Fewer shares than before: the others are left where they are, and do not count as a collision.
  REQUIRE(overwrite(grid, cap, "w", 2, 4));
  CHECK(read(grid, cap) == "w");
  REQUIRE(append_to(grid, cap, "v"));
  CHECK(read(grid, cap) == "wv");
}

TEST_CASE("a share of the wrong number or of another file is not believed") {
  FakeGrid grid;
  const auto cap = create(grid, "mine");
  const auto si = *cap.storage_index();
  const auto other = try_create(grid, "theirs", 3, 10, MutableFormat::sdmf, 1);
  REQUIRE(other);
  const auto theirs = grid.share_map(*other->storage_index());
  const auto places = grid.share_map(si);
  for (const auto& [number, servers] : places) {
    auto& server = grid.server(*servers.begin());
    if (number.value < 4) {
      const auto from = *theirs.at(number).begin();
      server.put_share(si, number, *grid.server(from).get_share(*other->storage_index(), number),
                       storage::ShareKind::mutable_);
    } else if (number.value < 7) {
      const auto from = *places.at(ShareNo{9}).begin();
      server.put_share(si, number, *grid.server(from).get_share(si, ShareNo{9}),
                       storage::ShareKind::mutable_);
    }
  }
  CHECK(read(grid, cap) == "mine");
}

TEST_CASE("operations of one object run in the order they were asked for") {
  FakeGrid grid;
  const auto cap = create(grid, "");
  struct Body {
    static Task<> append_one(MutableFile& file, int i) {
      CHECK(co_await file.modify(appending(std::to_string(i))));
    }
    static Task<std::string> run(MutableContext context, Cap cap) {
      auto executor = co_await asio::this_coro::executor;
      MutableFile file(executor, context, cap);
      TaskGroup group(executor);
      for (int i = 0; i < 5; ++i) group.spawn(append_one(file, i));
      co_await group.join();
      auto out = co_await file.read();
      co_await file.close();
      auto late = co_await file.read();
      CHECK(late.error().code == Errc::closed);
      co_return out ? to_text(*out->bytes) : "";
    }
  };
  CHECK(run(Body::run(context_of(grid), cap)) == "01234");
}

TEST_CASE("a key pool has keys in store, and makes one when it has none") {
  struct Body {
    static Task<> run(Pool& pool) {
      auto executor = co_await asio::this_coro::executor;
      KeyPool keys(executor, pool, 2);
      const auto a = co_await keys.take();
      const auto b = co_await keys.take();
      CHECK(a.pkcs8() != b.pkcs8());
      co_await keys.close();
      CHECK(keys.in_store() <= 2);
      const auto c = co_await keys.take();
      CHECK(c.pkcs8() != b.pkcs8());
    }
  };
  run(Body::run(test_pool()));
}

TEST_CASE("servers that leave or come between two changes of an open file do it no harm") {
  const bool leaves = GENERATE(true, false);
  fake::GridOptions options;
  options.servers = 6;
  fake::FakeGrid grid(options);
  const auto cap = create(grid, "one", 2, 4);
  run([](fake::FakeGrid& servers, Cap file_cap, bool goes) -> Task<> {
    MutableFile file(co_await asio::this_coro::executor, context_of(servers, 2, 4), file_cap);
    const auto append = [](const char* more) -> MutableFile::Change {
      return [more](const MutableContents& old) -> Result<std::shared_ptr<const Bytes>> {
        Bytes out = old.bytes ? *old.bytes : Bytes{};
        for (const char* c = more; *c; ++c) out.push_back(static_cast<std::uint8_t>(*c));
        return std::make_shared<const Bytes>(std::move(out));
      };
    };
    // Built upon without asking, as long as everybody is who he was.
    auto change = append(" two");
    auto done = co_await file.modify(change);
    REQUIRE(done);
    auto& roster = servers.roster();
    if (goes) {
      // Whom the last map calls the last two are not there any more.
      const auto order = roster.permuted(*file_cap.storage_index());
      const std::string first = order[0]->id, second = order[1]->id;
      roster.remove(first);
      roster.remove(second);
    } else {
      servers.add_server();
      servers.add_server();
    }
    change = append(" three");
    done = co_await file.modify(change);
    REQUIRE(done);
    auto contents = co_await file.read();
    REQUIRE(contents);
    CHECK(as_text(*contents->bytes) == "one two three");
    co_await file.close();
  }(grid, cap, leaves));
}
