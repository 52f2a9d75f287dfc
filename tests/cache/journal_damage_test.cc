// SPDX-License-Identifier: Apache-2.0

// What a journal makes of files that are not as it left them.

#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "cache/journal.h"
#include "cache/journal_format.h"
#include "tests/cache/scratch.h"

using namespace lafs;
using namespace lafs::cache;

namespace {

const grid::Secret32 secret = *grid::Secret32::from(Bytes(32, 5));
constexpr std::size_t large = 700'000;  // one and a half fill a segment

struct Found {
  ReplayReport report;
  std::vector<Sequence> records, after;
};

struct Fixture {
  Scratch scratch;
  std::string directory = scratch.path() + "/journal";
  std::string first = directory + "/000001.journal";

  std::unique_ptr<Journal> open(asio::any_io_executor executor, Disk& disk) const {
    return Journal::open(executor, disk,
                         {.directory = directory, .node_secret = secret, .segment_bytes = 1})
        .value();
  }

  // `sizes` are the records', all synced.
  void write(std::vector<std::size_t> sizes) {
    auto body = [](const Fixture& f, std::vector<std::size_t> all) -> Task<> {
      Disk disk;
      auto journal = f.open(co_await asio::this_coro::executor, disk);
      const Journal::Deliver nothing = [](Sequence, ByteView) { return Result<>(); };
      REQUIRE(journal->replay(0, nothing).has_value());
      for (const auto size : all) {
        Bytes payload(size, 7);
        REQUIRE(journal->append(payload).has_value());
      }
      auto closed = co_await journal->close();
      REQUIRE(closed.has_value());
    };
    run(body(*this, std::move(sizes)));
  }

  // Opens and replays; with `then`, makes a checkpoint and appends so many.
  Found replay(Sequence covered = 0, unsigned then = 0, Disk::BootId* boot = nullptr) {
    Found out;
    auto body = [](const Fixture& f, Sequence from, unsigned more, Disk::BootId* b,
                   Found& found) -> Task<> {
      Disk disk({}, b ? std::optional(*b) : std::nullopt);
      auto journal = f.open(co_await asio::this_coro::executor, disk);
      const Journal::Deliver deliver = [&](Sequence n, ByteView) -> Result<> {
        found.records.push_back(n);
        return {};
      };
      const Journal::Deliver after = [&](Sequence n, ByteView) -> Result<> {
        found.after.push_back(n);
        return {};
      };
      auto report = journal->replay(from, deliver, after);
      REQUIRE(report.has_value());
      found.report = *report;
      if (more > 0) {
        if (report->damaged) CHECK_FALSE(journal->append(Bytes(1)).has_value());
        REQUIRE(journal->checkpoint(report->position).has_value());
        for (unsigned i = 0; i < more; ++i)
          CHECK(journal->append(Bytes(1)).value() == report->position + 1 + i);
      }
      auto closed = co_await journal->close();
      CHECK(closed.has_value());
    };
    run(body(*this, covered, then, boot, out));
    return out;
  }

  void flip(const std::string& path, std::uint64_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 0x10));
  }
  std::uint64_t record_at(unsigned index, std::size_t size) const {
    return segment_header_size + index * record_size(size);
  }
  bool copy_kept() const {
    for (const auto& entry : std::filesystem::directory_iterator(directory))
      if (entry.path().string().find(".damaged-") != std::string::npos) return true;
    return false;
  }
};

}  // namespace

TEST_CASE("a record that was synced and is damaged is reported, those around it are saved") {
  Fixture f;
  f.write({100, 100, 100, 100, 100});
  f.flip(f.first, f.record_at(2, 100) + 30);
  const auto found = f.replay(0, 2);
  CHECK(found.records == std::vector<Sequence>{1, 2});
  CHECK(found.after == std::vector<Sequence>{4, 5});
  CHECK(found.report.damaged);
  CHECK(found.report.damage.find("record 3") != std::string::npos);
  CHECK(found.report.position == 5);
  CHECK(f.copy_kept());
  const auto again = f.replay(found.report.position);
  CHECK(again.records == std::vector<Sequence>{6, 7});
  CHECK_FALSE(again.report.damaged);
}

TEST_CASE("the newest record, damaged, is missed as well when it was synced") {
  Fixture f;
  f.write({100, 100});
  f.flip(f.first, f.record_at(1, 100) + 5);
  const auto found = f.replay();
  CHECK(found.records == std::vector<Sequence>{1});
  CHECK(found.report.damaged);
}

TEST_CASE("what was being written when the process died is no damage") {
  Fixture f;
  f.write({100, 100});
  {
    // The header of a third record, and nothing behind it.
    std::fstream file(f.first, std::ios::in | std::ios::out | std::ios::binary);
    Bytes head(record_header_size);
    std::ranges::copy(as_bytes("rec1"), head.begin());
    put_be<std::uint32_t>(head.data() + 4, 100);
    put_be<std::uint64_t>(head.data() + 8, 3);
    file.seekp(static_cast<std::streamoff>(f.record_at(2, 100)));
    file.write(reinterpret_cast<const char*>(head.data()),
               static_cast<std::streamsize>(head.size()));
  }
  const auto found = f.replay(0, 1);
  CHECK(found.records == std::vector<Sequence>{1, 2});
  CHECK(found.report.torn_tail);
  CHECK_FALSE(found.report.damaged);
  CHECK(found.report.position == 2);
  CHECK(f.replay(2).records == std::vector<Sequence>{3});
}

TEST_CASE("a segment that is gone or has no header is reported") {
  Fixture f;
  f.write({large, large, large, large, large, large});
  SECTION("gone") { std::filesystem::remove(f.directory + "/000002.journal"); }
  SECTION("without a header") { f.flip(f.directory + "/000002.journal", 20); }
  SECTION("the first one is gone") { std::filesystem::remove(f.first); }
  SECTION("all are gone but the store has seen some") {
    std::filesystem::remove_all(f.directory);
    const auto found = f.replay(4, 1);
    CHECK(found.report.damaged);
    CHECK(found.report.position >= 4);
    return;
  }
  const auto found = f.replay(0, 1);
  CHECK(found.report.damaged);
  CHECK_FALSE(found.report.damage.empty());
  CHECK(found.records.size() + found.after.size() >= 4);
  CHECK(found.records.size() + found.after.size() < 6);
  CHECK_FALSE(f.replay(found.report.position).report.damaged);
}

TEST_CASE("a store that is older than the journal says is reported, and the rest handed over") {
  Fixture f;
  f.write({100, 100, 100});
  CHECK(f.replay(3, 2).records.empty());  // its segment says that 3 are covered
  const auto found = f.replay(0);
  CHECK(found.report.damaged);
  CHECK(found.records.empty());
  CHECK(found.after.size() >= 2);
}

TEST_CASE("a journal that is in use is not opened twice") {
  Fixture f;
  auto body = [](const Fixture& fixture) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Disk disk;
    auto journal = fixture.open(executor, disk);
    auto second =
        Journal::open(executor, disk, {.directory = fixture.directory, .node_secret = secret});
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code == Errc::busy);
  };
  run(body(f));
}

TEST_CASE("old segments are used again, and their records never read as new ones") {
  Fixture f;
  Sequence covered = 0;
  for (int life = 0; life < 4; ++life) {
    const auto found = f.replay(covered, 3);
    CHECK_FALSE(found.report.damaged);
    CHECK(found.records.size() == (life == 0 ? 0 : 3));
    covered = found.report.position;
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(f.directory)) {
    (void)entry;
    ++files;
  }
  CHECK(files <= 5);
}
