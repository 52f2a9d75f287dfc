// SPDX-License-Identifier: Apache-2.0
#include "grid/server/disk_server.h"

#include <catch2/catch.hpp>

#include "grid/server/mutable_slot.h"
#include "grid/server/share_file.h"
#include "grid/server/uploads.h"
#include "tests/fake/server_conformance.h"
#include "tests/grid/server/disk_fixture.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;
using namespace lafs::grid::fake::conformance;
using namespace lafs::test;

TEST_CASE("a disk server does what every storage server does") {
  for (const auto& c : fake::server_conformance()) {
    INFO(c.name);
    DiskFixture fixture;
    fixture.with_server(c.run);
  }
}

TEST_CASE("with syncs, too") {
  DiskFixture fixture;
  fixture.options.durable = true;
  fixture.with_server(upload_in_pieces);
  fixture.with_server(mutable_life);
}

namespace {

Task<> upload_two_and_leave_one(Server& server) {
  const auto si = StorageIndex{};
  const bool stored = co_await store(server, si, ShareNo{0}, pattern(10));
  CHECK(stored);
  const auto secret = random_secret<32>();
  auto open = co_await server.allocate(si, numbers(1), 10, fresh_lease(), secret);
  CHECK(open);
  CHECK(dynamic_cast<DiskServer&>(server).uploads_in_progress() == 1);
}

Task<> only_the_first_is_there(Server& server) {
  CHECK(dynamic_cast<DiskServer&>(server).has_shares());
  auto listed = co_await server.list(ShareKind::immutable, StorageIndex{});
  REQUIRE(listed);
  CHECK(*listed == numbers(0));
}

}  // namespace

TEST_CASE("a restart keeps complete shares and forgets uploads in progress") {
  DiskFixture fixture;
  const auto incoming = fixture.options.directory / "shares/incoming";
  fixture.with_server(upload_two_and_leave_one);
  CHECK(std::filesystem::is_empty(incoming / "aa"));  // close() drops them
  // As a killed server leaves it.
  write_file(incoming / "aa/aaaaaaaaaaaaaaaaaaaaaaaaaa/1", as_bytes("rest"));
  fixture.with_server(only_the_first_is_there);
  CHECK(std::filesystem::is_empty(incoming));
}

namespace {

Task<> fill(Server& server) {
  const auto si = fresh_index();
  const auto secret = random_secret<32>();
  auto some = co_await server.allocate(si, numbers(0, 1, 2), 400, fresh_lease(), secret);
  REQUIRE(some);
  CHECK(some->allocated == numbers(0, 1));  // 1000 free, 100 of them reserved
  auto none = co_await server.allocate(fresh_index(), numbers(0), 101, fresh_lease(), secret);
  REQUIRE(none);
  CHECK(none->allocated.empty());
  auto rest = co_await server.allocate(fresh_index(), numbers(0), 100, fresh_lease(), secret);
  REQUIRE(rest);
  CHECK(rest->allocated == numbers(0));
  auto version = co_await server.version();
  REQUIRE(version);
  CHECK(version->available_space == 0);  // all of it is promised
  auto aborted = co_await server.abort(si, ShareNo{1}, secret);
  CHECK(aborted);
  auto freed = co_await server.allocate(si, numbers(2), 400, fresh_lease(), secret);
  REQUIRE(freed);
  CHECK(freed->allocated == numbers(2));
}

Task<> refuse_new_shares(Server& server) {
  auto version = co_await server.version();
  REQUIRE(version);
  CHECK(version->available_space == 0);
  auto none = co_await server.allocate(StorageIndex{}, numbers(0, 1), 1, fresh_lease(),
                                       random_secret<32>());
  REQUIRE(none);
  CHECK(none->allocated.empty());
  CHECK(none->already_have == numbers(0));
  auto data = co_await server.read(ShareKind::immutable, StorageIndex{}, ShareNo{0}, 0, 10);
  REQUIRE(data);
  CHECK(*data == pattern(10));
}

}  // namespace

TEST_CASE("space is promised only once, and the reserve is kept") {
  DiskFixture fixture;
  fixture.options.free_space = [] { return std::uint64_t{1000}; };
  fixture.options.reserved_space = 100;
  fixture.with_server(fill);
}

TEST_CASE("a read-only or full server takes no new shares and still serves the old ones") {
  DiskFixture fixture;
  fixture.with_server(upload_two_and_leave_one);
  fixture.options.read_only = true;
  fixture.with_server(refuse_new_shares);
  fixture.options.read_only = false;
  fixture.options.free_space = [] { return std::uint64_t{0}; };
  fixture.with_server(refuse_new_shares);
}

namespace {

Task<> outlive_the_timeout(Server& server) {
  const auto secret = random_secret<32>();
  auto open = co_await server.allocate(fresh_index(), numbers(0), 10, fresh_lease(), secret);
  REQUIRE(open);
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  auto& disk = dynamic_cast<DiskServer&>(server);
  while (disk.uploads_in_progress() > 0 && Clock::now() < deadline) {
    co_await sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(disk.uploads_in_progress() == 0);
}

}  // namespace

TEST_CASE("an upload that nobody touches is dropped") {
  DiskFixture fixture;
  fixture.options.upload_timeout = std::chrono::milliseconds(20);
  fixture.with_server(outlive_the_timeout);
  // The prefix directory stays, as on a Tahoe server.
  for (const auto& prefix :
       std::filesystem::directory_iterator(fixture.options.directory / "shares/incoming")) {
    CHECK(std::filesystem::is_empty(prefix));
  }
}

TEST_CASE("a corruption report becomes a file") {
  DiskFixture fixture;
  fixture.with_server(reports);
  const std::filesystem::directory_iterator files(fixture.options.directory /
                                                  "corruption-advisories");
  REQUIRE(files != std::filesystem::directory_iterator());
  CHECK(as_text(read_file(files->path()))
            .ends_with("share_number: 2\n\nb\xc3\xa4"
                       "d\n\n"));
}

// --- a kill at every step

namespace {

// Fails from step `last` on and remembers whether it came to that.
struct Kill {
  int last;
  int steps = 0;
  bool happened = false;
  bool operator()() {
    happened = happened || steps == last;
    ++steps;
    return !happened;
  }
};

const MutableSecrets owner{Secret32{}, {Secret32{}, Secret32{}}};

Task<> change_mutable_share(Server& server) {
  auto request = put(0, 0, pattern(3000, 1));
  request.changes[ShareNo{0}].writes.push_back({5000, pattern(1000, 1)});
  request.changes[ShareNo{0}].new_length = 5500;
  (void)co_await server.read_test_write(StorageIndex{}, owner, request);
}

Task<> create_mutable_share(Server& server) {
  auto created = co_await server.read_test_write(StorageIndex{}, owner, put(0, 0, pattern(4000)));
  CHECK(created);
}

// What the share holds after a restart.
Task<> look(Server& server, Bytes& found) {
  ReadTestWrite request;
  request.reads.push_back({0, 1 << 20});
  auto reply = co_await server.read_test_write(StorageIndex{}, owner, request);
  REQUIRE(reply);
  REQUIRE(reply->data.size() == 1);
  found = reply->data.at(ShareNo{0}).at(0);
  // And it can be changed again, whatever the kill left behind.
  auto again = co_await server.read_test_write(StorageIndex{}, owner, put(0, 0, to_bytes("!")));
  CHECK(again);
}

}  // namespace

TEST_CASE("a kill at any step of a change leaves the old mutable share or the new one") {
  auto next = pattern(3000, 1);
  append(next, ByteView(pattern(4000)).subspan(3000));
  next.resize(5000);
  append(next, ByteView(pattern(1000, 1)).first(500));
  int old_ones = 0;
  int new_ones = 0;
  for (int last = 0;; ++last) {
    DiskFixture fixture;
    fixture.with_server(create_mutable_share);
    Kill kill{last};
    bool armed = false;  // opening the server takes steps as well
    fixture.options.allow_step = [&](std::string_view) { return !armed || kill(); };
    auto body = [&](Server& server) -> Task<> {
      armed = true;
      return change_mutable_share(server);
    };
    fixture.with_server(body);
    fixture.options.allow_step = {};
    Bytes found;
    auto check = [&](Server& server) -> Task<> { return look(server, found); };
    fixture.with_server(check);
    CAPTURE(last);
    REQUIRE((found == pattern(4000) || found == next));
    ++(found == next ? new_ones : old_ones);
    if (!kill.happened) break;
  }
  CHECK(old_ones >= 1);
  CHECK(new_ones >= 4);
}

namespace {

Task<> upload_one(Server& server) {
  const auto secret = random_secret<32>();
  const auto data = pattern(1000);
  auto open = co_await server.allocate(StorageIndex{}, numbers(0), 1000, fresh_lease(), secret);
  if (!open) co_return;
  auto half =
      co_await server.write(StorageIndex{}, ShareNo{0}, secret, 0, ByteView(data).first(500));
  if (!half) co_return;
  (void)co_await server.write(StorageIndex{}, ShareNo{0}, secret, 500, ByteView(data).subspan(500));
}

Task<> lease_three(Server& server) {
  for (int i = 0; i < 3; ++i) (void)co_await server.add_lease(StorageIndex{}, fresh_lease());
}

Task<> whole_or_absent(Server& server, bool& there) {
  auto listed = co_await server.list(ShareKind::immutable, StorageIndex{});
  REQUIRE(listed);
  there = !listed->empty();
  if (!there) co_return;
  auto data = co_await server.read(ShareKind::immutable, StorageIndex{}, ShareNo{0}, 0, 9999);
  REQUIRE(data);
  CHECK(*data == pattern(1000));
  auto leased = co_await server.add_lease(StorageIndex{}, fresh_lease());
  CHECK(leased);
  data = co_await server.read(ShareKind::immutable, StorageIndex{}, ShareNo{0}, 0, 9999);
  REQUIRE(data);
  CHECK(*data == pattern(1000));
}

}  // namespace

TEST_CASE("a kill at any step of an upload leaves a whole share or none") {
  int present = 0;
  for (int last = 0;; ++last) {
    DiskFixture fixture;
    Kill kill{last};
    bool armed = false;
    fixture.options.allow_step = [&](std::string_view) { return !armed || kill(); };
    auto body = [&](Server& server) -> Task<> {
      armed = true;
      return upload_one(server);
    };
    fixture.with_server(body);
    fixture.options.allow_step = {};
    bool there = false;
    auto check = [&](Server& server) -> Task<> { return whole_or_absent(server, there); };
    CAPTURE(last);
    fixture.with_server(check);
    present += there;
    if (!kill.happened) {
      CHECK(there);
      break;
    }
  }
  CHECK(present >= 2);
}

TEST_CASE("a kill at any step of adding leases leaves the share's data as it was") {
  for (int last = 0;; ++last) {
    DiskFixture fixture;
    fixture.with_server(upload_one);
    Kill kill{last};
    bool armed = false;
    fixture.options.allow_step = [&](std::string_view) { return !armed || kill(); };
    auto body = [&](Server& server) -> Task<> {
      armed = true;
      return lease_three(server);
    };
    fixture.with_server(body);
    fixture.options.allow_step = {};
    bool there = false;
    auto check = [&](Server& server) -> Task<> { return whole_or_absent(server, there); };
    CAPTURE(last);
    fixture.with_server(check);
    REQUIRE(there);
    if (!kill.happened) break;
  }
}

// --- hostile files and requests

namespace {

Task<> meet_damaged_share(Server& server) {
  auto data = co_await server.read(ShareKind::immutable, StorageIndex{}, ShareNo{0}, 0, 10);
  CHECK(code(data) == Errc::corrupt);
  auto again =
      co_await server.allocate(StorageIndex{}, numbers(0), 10, fresh_lease(), random_secret<32>());
  REQUIRE(again);
  CHECK(again->already_have == numbers(0));
  auto leased = co_await server.add_lease(StorageIndex{}, fresh_lease());
  CHECK(leased);
}

Task<> write_absurdly_far(Server& server) {
  const MutableSecrets secrets{random_secret<32>(), fresh_lease()};
  const auto si = fresh_index();
  auto far = co_await server.read_test_write(si, secrets, put(0, 1ull << 63, to_bytes("x")));
  CHECK(code(far) == Errc::too_large);
  auto wrapping = co_await server.read_test_write(si, secrets, put(0, UINT64_MAX, to_bytes("x")));
  CHECK(code(wrapping) == Errc::too_large);
  auto listed = co_await server.list(ShareKind::mutable_, si);
  REQUIRE(listed);
  CHECK(listed->empty());
  // A gigabyte of hole costs no gigabyte of writing, not when it is copied either.
  auto sparse = co_await server.read_test_write(si, secrets, put(0, 1 << 30, to_bytes("x")));
  CHECK(sparse);
  sparse = co_await server.read_test_write(si, secrets, put(0, 5, to_bytes("y")));
  CHECK(sparse);
  auto end = co_await server.read(ShareKind::mutable_, si, ShareNo{0}, (1 << 30) - 2, 100);
  REQUIRE(end);
  CHECK(*end == Bytes{0, 0, 'x'});
  ReadTestWrite greedy;
  greedy.reads.push_back({0, UINT64_MAX});
  auto too_much = co_await server.read_test_write(si, secrets, greedy);
  CHECK(code(too_much) == Errc::too_large);
}

}  // namespace

TEST_CASE("a damaged share file is an error, not a crash, and keeps its number") {
  for (const Bytes& damage : {Bytes{}, Bytes{0, 0, 0}, Bytes(300, 0xff), Bytes(40, 0)}) {
    DiskFixture fixture;
    write_file(fixture.options.directory / "shares/aa/aaaaaaaaaaaaaaaaaaaaaaaaaa/0", damage);
    write_file(fixture.options.directory / "shares/aa/aaaaaaaaaaaaaaaaaaaaaaaaaa/00", damage);
    write_file(fixture.options.directory / "shares/aa/aaaaaaaaaaaaaaaaaaaaaaaaaa/x", damage);
    fixture.with_server(meet_damaged_share);
  }
}

TEST_CASE("writes beyond all bounds are refused and leave nothing") {
  DiskFixture fixture;
  fixture.with_server(write_absurdly_far);
}

namespace {
Task<> closed_server(DiskFixture& fixture) {
  auto server = fixture.open(co_await asio::this_coro::executor);
  co_await server->close();
  auto version = co_await server->version();
  CHECK(code(version) == Errc::closed);
  auto data = co_await server->read(ShareKind::immutable, StorageIndex{}, ShareNo{0}, 0, 10);
  CHECK(code(data) == Errc::closed);
}
}  // namespace

TEST_CASE("a closed server answers nothing") {
  DiskFixture fixture;
  lafs::run(closed_server(fixture));
}
