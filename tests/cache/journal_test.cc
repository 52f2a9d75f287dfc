// SPDX-License-Identifier: Apache-2.0
#include "cache/journal.h"

#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>

#include "cache/journal_format.h"
#include "tests/cache/scratch.h"

using namespace lafs;
using namespace lafs::cache;

namespace {

const grid::Secret32 secret = *grid::Secret32::from(Bytes(32, 7));

struct Found {
  ReplayReport report;
  std::vector<std::string> records, after;
};

Journal::Options options(const Scratch& scratch) {
  return {.directory = scratch.path() + "/journal", .node_secret = secret};
}

Result<Found> replay(Journal& journal, Sequence covered = 0) {
  Found out;
  TRY(report, journal.replay(
                  covered,
                  [&](Sequence, ByteView payload) -> Result<> {
                    out.records.push_back(to_text(payload));
                    return {};
                  },
                  [&](Sequence, ByteView payload) -> Result<> {
                    out.after.push_back(to_text(payload));
                    return {};
                  }));
  out.report = report;
  return out;
}

// Opens, replays, hands the journal to `body`, and closes.
Task<> with_journal(Disk& disk, Journal::Options o, Sequence covered,
                    std::function<Task<>(Journal&, const Found&)> body) {
  auto executor = co_await asio::this_coro::executor;
  auto journal = Journal::open(executor, disk, o).value();
  auto found = replay(*journal, covered).value();
  co_await body(*journal, found);
  auto closed = co_await journal->close();
  CHECK((closed.has_value() || disk.dead()));
}

Task<> append_three(Journal& journal, const Found& found) {
  CHECK(found.records.empty());
  CHECK(journal.append(to_bytes("one")).value() == 1);
  CHECK(journal.append(to_bytes("two")).value() == 2);
  CHECK(journal.append(Bytes{}).value() == 3);
  auto done = co_await journal.sync();
  CHECK(done.has_value());
  CHECK(journal.last_synced() == 3);
}

Task<> expect_three(Journal& journal, const Found& found) {
  CHECK(found.records == std::vector<std::string>{"one", "two", ""});
  CHECK(found.report.records == 3);
  CHECK_FALSE(found.report.damaged);
  CHECK_FALSE(found.report.torn_tail);
  CHECK(journal.append(to_bytes("four")).value() == 4);
  co_return;
}

Task<> expect_four_alone(Journal&, const Found& found) {
  CHECK(found.records == std::vector<std::string>{"four"});
  co_return;
}

}  // namespace

TEST_CASE("what was appended is replayed, and what a checkpoint covers is not") {
  Scratch scratch;
  Disk disk;
  run(with_journal(disk, options(scratch), 0, append_three));
  run(with_journal(disk, options(scratch), 0, expect_three));
  run(with_journal(disk, options(scratch), 3, expect_four_alone));
}

TEST_CASE("a record is sealed as docs/formats/journal.md shows it") {
  SegmentHeader header{.generation = 1, .first = 1};
  for (std::uint8_t i = 0; i < 16; ++i) header.salt[i] = i;
  SegmentWriter writer(header, grid::Secret32());
  Bytes record;
  writer.record(7, 5, to_bytes("hello"), record);
  CHECK(to_hex(record) ==
        "7265633100000005000000000000000700000000000000059487fdbf87"
        "ed4f4b1e77e781037c0b041973625d2a000000");
}
