// SPDX-License-Identifier: Apache-2.0

// The journal, its staging files and its store, stopped at every step of the disk. A workload runs
// until the fault strikes; then everything is opened anew and compared with what was acknowledged.

#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "cache/journal.h"
#include "cache/staging.h"
#include "cache/store.h"
#include "tests/cache/scratch.h"

using namespace lafs;
using namespace lafs::cache;

namespace {

const grid::Secret32 secret = *grid::Secret32::from(Bytes(32, 9));
constexpr unsigned rounds = 24;
constexpr std::size_t chunk = 5000;  // not a whole number of sectors

// What record `n` says was written.
Bytes content_of(unsigned n) {
  Bytes out(chunk);
  for (std::size_t i = 0; i < chunk; ++i) out[i] = static_cast<std::uint8_t>(n * 31 + i * 7);
  return out;
}

// What the workload was told; lives on when the disk is gone.
struct Acknowledged {
  Sequence appended = 0;
  Sequence synced = 0;
  Sequence covered = 0;  // by a checkpoint that returned
  std::optional<Staging::Memory> staged;
};

struct Parts {
  std::unique_ptr<Journal> journal;
  std::unique_ptr<Staging> staging;
  std::unique_ptr<Store> store;
};

Result<Parts> open_parts(asio::any_io_executor executor, Disk& disk, const std::string& path) {
  Parts parts;
  TRY(store, Store::open(disk, {.directory = path, .node_secret = secret, .map_bytes = 1u << 24}));
  parts.store = std::move(store);
  TRY(journal, Journal::open(executor, disk,
                             {.directory = path + "/journal",
                              .node_secret = secret,
                              .segment_bytes = 1,  // as small as they go
                              .delay = std::chrono::microseconds(200)}));
  parts.journal = std::move(journal);
  TRY(staging,
      Staging::open(disk, parts.journal->dirty(),
                    {.directory = path + "/staging", .node_secret = secret, .budget = {}}));
  parts.staging = std::move(staging);
  return parts;
}

Bytes key_of(unsigned n) { return to_bytes("record " + std::to_string(n)); }

// One file grows by a chunk a round, each with its record; now and then somebody waits for the
// sync, now and then there is a checkpoint. Ends at the first error.
Task<Result<>> work(Disk& disk, std::string path, Acknowledged& told) {
  auto executor = co_await asio::this_coro::executor;
  CO_TRY(parts, open_parts(executor, disk, path));
  const Journal::Deliver nothing = [](Sequence, ByteView) -> Result<> {
    return fail(Errc::internal, "a new journal holds a record");
  };
  CO_TRY(report, parts.journal->replay(0, nothing));
  auto outcome = [&]() -> Result<> {
    if (report.damaged) return fail(Errc::internal, "a new journal is damaged: " + report.damage);
    return {};
  }();
  std::unique_ptr<StagedFile> file;
  if (outcome) {
    auto made = parts.staging->create(0, "grows.bin");
    if (made) {
      file = std::move(*made);
      told.staged = Staging::memory_of(*file);
    } else {
      outcome = std::unexpected(made.error());
    }
  }
  for (unsigned n = 1; outcome && n <= rounds; ++n) {
    outcome = file->write((n - 1) * chunk, content_of(n));
    if (!outcome) break;
    // Large records, so that segments fill up.
    Bytes payload(n % 3 == 0 ? 400'000 : 40, static_cast<std::uint8_t>(n));
    auto sequence = parts.journal->append(payload);
    if (!sequence) {
      outcome = std::unexpected(sequence.error());
      break;
    }
    told.appended = *sequence;
    if (n % 5 == 0) {
      outcome = co_await parts.journal->synced(*sequence);
      if (outcome) told.synced = *sequence;
    }
    if (outcome && n % 11 == 0) {
      outcome = co_await parts.journal->synced(*sequence);
      if (!outcome) break;
      told.synced = *sequence;
      std::vector<Store::Change> changes;
      for (unsigned i = 1; i <= n; ++i) changes.push_back({key_of(i), content_of(i)});
      outcome = parts.store->checkpoint(changes, n);
      if (!outcome) break;
      told.covered = n;
      outcome = parts.journal->checkpoint(n);
    }
  }
  auto closed = co_await parts.journal->close();
  if (outcome) outcome = closed;
  if (outcome) told.synced = told.appended;
  co_return outcome;
}

// What is there afterwards, against what was told. `lost_power`: only what was synced is promised.
Task<Result<>> compare(std::string path, Acknowledged told, bool lost_power) {
  auto executor = co_await asio::this_coro::executor;
  Disk disk({}, lost_power ? std::optional(Disk::BootId{1}) : std::nullopt);
  CO_TRY(parts, open_parts(executor, disk, path));
  CHECK(parts.store->put_aside().empty());
  const auto covered = parts.store->covered();
  CHECK(covered >= told.covered);
  std::map<std::string, Bytes> model;
  CO_TRY_DO(parts.store->each([&](ByteView key, ByteView value) -> Result<> {
    model[to_text(key)] = to_bytes(value);
    return {};
  }));
  CHECK(model.size() == covered);
  Sequence last = covered;
  const Journal::Deliver deliver = [&](Sequence sequence, ByteView payload) -> Result<> {
    if (sequence != last + 1) return fail(Errc::internal, "out of order");
    last = sequence;
    if (payload.empty() || payload[0] != sequence) return fail(Errc::internal, "wrong payload");
    return {};
  };
  CO_TRY(report, parts.journal->replay(covered, deliver));
  CHECK_FALSE(report.damaged);
  INFO(report.damage);
  CHECK(last >= (lost_power ? told.synced : told.appended));
  CHECK(last <= told.appended + 1);  // one may have been written and not acknowledged
  if (last > 0) {
    REQUIRE(told.staged);
    auto memory = *told.staged;
    memory.size = last * chunk;
    memory.local.add({0, memory.size});
    CO_TRY(file, parts.staging->reopen(memory));
    for (unsigned n = 1; n <= last; ++n) {
      Bytes out(chunk);
      CO_TRY_DO(file->read((n - 1) * chunk, out));
      CHECK(out == content_of(n));
    }
    CO_TRY(salvaged, parts.staging->salvage(memory.id));
    CHECK(salvaged.label == "grows.bin");
    CHECK(salvaged.memory.key == memory.key);
  }
  // And it goes on from there.
  Bytes more(1, static_cast<std::uint8_t>(last + 1));
  CO_TRY(sequence, parts.journal->append(more));
  CHECK(sequence == last + 1);
  CO_TRY_DO(co_await parts.journal->synced(sequence));
  co_return co_await parts.journal->close();
}

// Every point with LAFS_CRASH_POINTS=0, about 64 by default.
std::uint64_t stride(std::uint64_t steps) {
  const char* wanted = std::getenv("LAFS_CRASH_POINTS");
  const std::uint64_t points = wanted ? std::strtoull(wanted, nullptr, 10) : 64;
  return points == 0 ? 1 : std::max<std::uint64_t>(1, steps / points);
}

void strike_everywhere(DiskFault::Kind kind, std::uint64_t seed) {
  std::uint64_t steps = 0;
  {
    Scratch scratch;
    Disk disk;
    Acknowledged told;
    auto outcome = run(work(disk, scratch.path(), told));
    INFO((outcome ? "" : outcome.error().message()));
    REQUIRE(outcome.has_value());
    REQUIRE(told.synced == rounds);
    steps = disk.steps();
  }
  for (std::uint64_t at = 1; at <= steps; at += stride(steps)) {
    Scratch scratch;
    Acknowledged told;
    {
      Disk disk({.kind = kind, .at = at, .seed = seed ? seed + at : 0});
      auto outcome = run(work(disk, scratch.path(), told));
      // The syncer groups as it likes: a run may end before this step.
      if (disk.dead()) CHECK_FALSE(outcome.has_value());
      disk.lose_unsynced();
    }
    INFO("struck at step " << at << " of about " << steps);
    auto compared = run(compare(scratch.path(), told, kind == DiskFault::Kind::power));
    INFO((compared ? "" : compared.error().message()));
    REQUIRE(compared.has_value());
    // And once more: what the recovery wrote is as good as what it found.
    told.appended += 1;
  }
}

}  // namespace

TEST_CASE("whatever was appended is there after the process dies at any step") {
  strike_everywhere(DiskFault::Kind::kill, 0);
}

TEST_CASE("whatever was synced is there after all that was not is lost, at any step") {
  strike_everywhere(DiskFault::Kind::power, 0);
}

TEST_CASE("whatever was synced is there after some of what was not is lost, at any step") {
  strike_everywhere(DiskFault::Kind::power, 77);
}

TEST_CASE("a disk that fails once or fills up at any step is told, and nothing told is lost") {
  for (const auto kind : {DiskFault::Kind::io_error, DiskFault::Kind::no_space}) {
    for (std::uint64_t at = 1; at <= 140; at += stride(140)) {
      Scratch scratch;
      Acknowledged told;
      {
        Disk disk({.kind = kind, .at = at});
        auto outcome = run(work(disk, scratch.path(), told));
        if (!outcome) {
          const auto code = outcome.error().code;
          INFO(outcome.error().message());
          CHECK((code == Errc::io || code == Errc::no_space));
        }
      }
      INFO("struck at step " << at);
      auto compared = run(compare(scratch.path(), told, false));
      INFO((compared ? "" : compared.error().message()));
      REQUIRE(compared.has_value());
    }
  }
}
