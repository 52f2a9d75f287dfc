// SPDX-License-Identifier: Apache-2.0

// The journal of mutable shares: its bytes, and what a server makes of one that it finds. That
// nothing is lost is shown by power_cut_test.cc and by the kills in disk_server_test.cc.

#include <catch2/catch.hpp>

#include "grid/server/journal_records.h"
#include "grid/server/mutable_slot.h"
#include "tests/fake/server_conformance.h"
#include "tests/grid/server/disk_fixture.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;
using namespace lafs::grid::fake::conformance;
using namespace lafs::test;

namespace {

const StorageIndex si{};
const MutableSecrets owner{Secret32{}, {Secret32{}, Secret32{}}};

// A share's file with these data.
Bytes share_of(ByteView data) {
  Disk disk(false);
  auto slot = MutableSlot::create(disk, File::in_memory("a share"), LeaseSeed{}, Secret32{});
  REQUIRE(slot);
  REQUIRE(slot->write(disk, 0, data));
  return *slot->file().memory();
}

Bytes journal_with(std::uint64_t number, std::int64_t time, ByteView data) {
  JournalWriter writer(number, {1, 2, 3});
  auto out = writer.head();
  writer.append_record(out, time, {{si, ShareNo{5}, share_of(data)}});
  return out;
}

std::string first_found(DiskFixture& fixture) {
  std::string out;
  auto body = [&](Server& server) -> Task<> {
    auto found = co_await server.read(ShareKind::mutable_, si, ShareNo{5}, 0, 100);
    out = found ? to_text(*found) : "none";
  };
  fixture.with_server(body);
  return out;
}

}  // namespace

TEST_CASE("a journal gives back its records, and stops at the first that is not whole") {
  JournalWriter writer(7, {1, 2, 3});
  auto file = writer.head();
  const std::vector<ShareImage> images{{si, ShareNo{0}, to_bytes("abc")}, {si, ShareNo{9}, {}}};
  writer.append_record(file, 1'800'000'000, images);
  const auto first = file.size();
  writer.append_record(file, 1'800'000'001, {{si, ShareNo{1}, pattern(500)}});
  auto journal = parse_journal(file);
  REQUIRE((journal && journal->number == 7 && journal->records.size() == 2));
  CHECK(journal->records[0].time == 1'800'000'000);
  CHECK(journal->records[0].images == images);
  for (auto size = first; size < file.size(); ++size) {
    REQUIRE(parse_journal(ByteView(file).first(size))->records.size() == 1);
  }
  for (std::size_t at = 0; at < file.size(); ++at) {
    auto damaged = file;
    damaged[at] ^= 1;
    journal = parse_journal(damaged);
    REQUIRE((!journal || journal->records.size() == (at < first ? 0 : 1)));
  }
}

TEST_CASE("what an older journal left behind the last record is none of this one's") {
  auto old = journal_with(1, 1, to_bytes("old"));
  JournalWriter writer(2, {1, 2, 3});
  auto file = writer.head();
  append(file, ByteView(old).subspan(file.size()));
  CHECK(parse_journal(file)->records.empty());
}

TEST_CASE("a server carries out the journals it finds, in their order, and empties them") {
  DiskFixture fixture;
  const auto now = std::time(nullptr);
  write_file(fixture.options.directory / "lafs-mutable.journal.0",
             journal_with(4, now, to_bytes("new")));
  write_file(fixture.options.directory / "lafs-mutable.journal.1",
             journal_with(3, now, to_bytes("old")));
  CHECK(first_found(fixture) == "new");
  for (const auto* name : {"lafs-mutable.journal.0", "lafs-mutable.journal.1"}) {
    CHECK_FALSE(parse_journal(read_file(fixture.options.directory / name)));
  }
}

TEST_CASE("a journal does not undo what another program has done since") {
  DiskFixture fixture;
  const auto now = std::time(nullptr);
  const auto share = fixture.options.directory / "shares/aa/aaaaaaaaaaaaaaaaaaaaaaaaaa/5";
  const auto journal = fixture.options.directory / "lafs-mutable.journal.0";
  write_file(share, share_of(to_bytes("Tahoe's")));
  write_file(journal, journal_with(1, now - 3600, to_bytes("ours")));
  CHECK(first_found(fixture) == "Tahoe's");
  write_file(journal, journal_with(1, now, to_bytes("ours")));
  CHECK(first_found(fixture) == "ours");
}

TEST_CASE("many changes at once share syncs, and each is there") {
  DiskFixture fixture;
  int syncs = 0;
  fixture.options.step_done = [&](std::string_view step, const auto&, const auto&) {
    syncs += step == "sync";
  };
  auto body = [&](Server& server) -> Task<> {
    TaskGroup group(co_await asio::this_coro::executor);
    int good = 0;
    const auto change = [](Server& on, std::uint8_t which, int& count) -> Task<> {
      StorageIndex other;
      other.bytes[0] = which;
      auto done = co_await on.read_test_write(other, owner, put(0, 0, pattern(1000, which)));
      count += done && done->success;
    };
    for (std::uint8_t i = 0; i < 40; ++i) group.spawn(change(server, i, good));
    co_await group.join();
    CHECK(good == 40);
    CHECK(syncs < 40);
    for (std::uint8_t i = 0; i < 40; ++i) {
      StorageIndex other;
      other.bytes[0] = i;
      auto found = co_await server.read(ShareKind::mutable_, other, ShareNo{0}, 0, 5000);
      CHECK((found && *found == pattern(1000, i)));
    }
  };
  fixture.with_server(body);
}

TEST_CASE("a share that cannot be written to the end becomes its new self otherwise, or later") {
  for (const bool otherwise : {true, false}) {
    CAPTURE(otherwise);
    DiskFixture fixture;
    bool full = false;
    fixture.options.tear_write = [&](const std::filesystem::path& path) {
      const auto name = path.filename();
      const bool here = full && (name == "5" || (!otherwise && name == "5.next"));
      return here ? std::optional<std::size_t>(500) : std::nullopt;
    };
    auto body = [&](Server& server) -> Task<> {
      auto made = co_await server.read_test_write(si, owner, put(5, 0, to_bytes("old old old")));
      CHECK(made);
      full = true;
      auto changed = co_await server.read_test_write(si, owner, put(5, 0, to_bytes("new new new")));
      CHECK(changed.has_value() == otherwise);
      // Without the share as a whole anywhere but in the journal, nothing changes any more.
      full = false;
      auto again = co_await server.read_test_write(si, owner, put(5, 0, to_bytes("NEW")));
      CHECK(again.has_value() == otherwise);
    };
    fixture.with_server(body);
    CHECK(first_found(fixture) == (otherwise ? "NEW new new" : "new new new"));
  }
}
