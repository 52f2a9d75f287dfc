// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/bench_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "cache/cached_client.h"
#include "cache/journal.h"
#include "grid/crypto/aes_ctr.h"

namespace lafs::cli {

namespace {

using cache::Disk;
using cache::Journal;
using cache::ReadCache;

constexpr std::size_t record_bytes = 120;  // an ordinary record: a name, a few numbers
constexpr std::size_t segment_bytes = 128u << 10;
constexpr int rounds = 3;  // the best of so many, for both sides of a comparison
const grid::Secret32 secret = *grid::Secret32::from(Bytes(32, 1));

double seconds_since(TimePoint begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A folder of its own, gone at the end.
class Folder {
 public:
  static Result<Folder> make(const std::string& in) {
    auto path = in + "/lafs-bench-XXXXXX";
    if (!::mkdtemp(path.data())) return fail(Errc::io, "cannot make a folder in " + in);
    return Folder(path);
  }
  explicit Folder(std::string path) : path_(std::move(path)) {}
  Folder(Folder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Folder& operator=(Folder&&) = delete;
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Rates {
  double appended = 0, synced = 0, grouped = 0;  // per second
};

// The same bytes by plain system calls: what the disk allows.
Result<Rates> plain_records(const std::string& folder, std::uint64_t records) {
  Disk disk;
  TRY(file, disk.open(folder + "/plain", Disk::Open::create_new));
  const auto size = record_bytes + 40;
  Bytes all(records * size, 1);
  TRY_DO(file->write(0, all));
  TRY_DO(file->sync());
  Rates out;
  auto begin = Clock::now();
  for (std::uint64_t i = 0; i < records; ++i)
    TRY_DO(file->write(i * size, ByteView(all).first(size)));
  out.appended = static_cast<double>(records) / seconds_since(begin);
  TRY_DO(file->sync());
  out.grouped = static_cast<double>(records) / seconds_since(begin);
  const std::uint64_t few = 100;
  begin = Clock::now();
  for (std::uint64_t i = 0; i < few; ++i) {
    TRY_DO(file->write(i * size, ByteView(all).first(size)));
    TRY_DO(file->sync());
  }
  out.synced = static_cast<double>(few) / seconds_since(begin);
  return out;
}

Task<Result<Rates>> journal_records(asio::any_io_executor executor, std::string folder,
                                    std::uint64_t records) {
  Disk disk;
  Journal::Options options{.directory = folder + "/journal", .node_secret = secret};
  CO_TRY(journal, Journal::open(executor, disk, std::move(options)));
  const Journal::Deliver nothing = [](cache::Sequence, ByteView) { return Result<>(); };
  CO_TRY_DO(journal->replay(0, nothing));
  const Bytes payload(record_bytes, 2);
  // Segments that were used before, as in a journal that has run for a while.
  const auto fill = [&]() -> Result<> {
    for (std::uint64_t i = 0; i < records / 4; ++i) TRY_DO(journal->append(payload));
    return journal->checkpoint(journal->last());
  };
  CO_TRY_DO(fill());
  CO_TRY_DO(co_await journal->sync());
  Rates out;
  auto begin = Clock::now();
  for (std::uint64_t i = 0; i < records; ++i) CO_TRY_DO(journal->append(payload));
  out.appended = static_cast<double>(records) / seconds_since(begin);
  CO_TRY_DO(co_await journal->sync());
  out.grouped = static_cast<double>(records) / seconds_since(begin);
  const std::uint64_t few = 100;
  begin = Clock::now();
  for (std::uint64_t i = 0; i < few; ++i) {
    CO_TRY_DO(journal->append(payload));
    CO_TRY_DO(co_await journal->sync());
  }
  out.synced = static_cast<double>(few) / seconds_since(begin);
  CO_TRY_DO(co_await journal->close());
  co_return out;
}

// A grid client whose grid is away, and the cache on top of it.
struct Offline {
  Offline(asio::any_io_executor executor, Pool& pool, const std::string& folder)
      : client(executor, roster, pool, grid::Client::Options{}),
        cached(executor, client, options(folder)) {}
  static cache::CachedClient::Options options(const std::string& folder) {
    cache::CachedClient::Options out;
    out.segment_bytes = 1u << 20;  // next to nothing: what is on the disk is measured
    out.disk = ReadCache::Options{.directory = folder + "/cache",
                                  .node_secret = secret,
                                  .min_free = 0,
                                  .queue_bytes = 1u << 30};
    return out;
  }
  Task<> close() {
    co_await cached.close();
    co_await client.close();
  }

  grid::storage::Roster roster;
  grid::Client client;
  cache::CachedClient cached;
};

Result<double> plain_segments(const std::string& folder, std::uint64_t segments) {
  const auto path = folder + "/plain-segments";
  Disk disk;
  TRY(file, disk.open(path, Disk::Open::create_new));
  const Bytes content(segment_bytes, 3);
  for (std::uint64_t i = 0; i < segments; ++i) TRY_DO(file->write(i * segment_bytes, content));
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = Clock::now();
    for (std::uint64_t i = 0; i < segments; ++i) {
      Bytes out(segment_bytes);
      TRY_DO(file->read(i * segment_bytes, out));
      grid::AesCtr(grid::Key16(), i * segment_bytes).process(out);
    }
    best = std::max(best, static_cast<double>(segments) / seconds_since(begin));
  }
  return best;
}

Task<Result<double>> cached_segments(asio::any_io_executor executor, Pool& pool, std::string folder,
                                     std::uint64_t segments) {
  Offline offline(executor, pool, folder);
  const grid::ChkCap chk{grid::Key16(), {}, 3, 10, segments * segment_bytes};
  const grid::StorageIndex file{grid::truncate<16>(chk.ueb_hash)};
  auto* disk = offline.cached.disk();
  if (!disk) co_return fail(Errc::io, "the cache does not open");
  disk->keep_file(file, {segment_bytes, file});
  const auto content = std::make_shared<const Bytes>(segment_bytes, 3);
  for (std::uint64_t i = 0; i < segments; ++i)
    disk->keep_segment({file, grid::SegmentNo{i}}, content);
  disk->settle();
  double best = 0;
  Result<> outcome;
  for (int round = 0; round < rounds && outcome; ++round) {
    const auto begin = Clock::now();
    for (std::uint64_t i = 0; i < segments && outcome; ++i) {
      auto got = co_await offline.cached.read(grid::Cap(chk), i * segment_bytes, segment_bytes);
      if (!got) outcome = std::unexpected(std::move(got.error()));
    }
    best = std::max(best, static_cast<double>(segments) / seconds_since(begin));
  }
  co_await offline.close();
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  co_return best;
}

struct ListingTimes {
  double shown_ms = 0, names_ms = 0, plain_ms = 0;
};

Task<Result<ListingTimes>> listing(asio::any_io_executor executor, Pool& pool, std::string folder,
                                   std::uint64_t count) {
  const grid::Cap cap(grid::MutableWriteCap{grid::MutableFormat::sdmf, grid::Key16(), {}}, true);
  Bytes table;
  {
    grid::TableKind kind;
    kind.write_key = grid::Key16();
    grid::Entries entries(kind);
    grid::PosixFacts facts;
    facts.mode = 0644;
    facts.mtime = timespec{1'700'000'000, 123'456'789};
    grid::Metadata metadata;
    metadata.set_posix(facts);
    for (std::uint64_t i = 0; i < count; ++i) {
      grid::Hash32 hash{};
      put_be<std::uint64_t>(hash.data(), i);
      const grid::Cap child(grid::ChkCap{grid::Key16(), hash, 3, 10, 1000 + i});
      entries.set("file-" + std::to_string(i) + ".txt", grid::ChildCaps::of(child, child),
                  metadata);
    }
    table = entries.pack();
  }
  ListingTimes out;
  {
    auto opened = ReadCache::open(*Offline::options(folder).disk);
    if (!opened) co_return std::unexpected(std::move(opened.error()));
    (*opened)->keep_listing(cap.text(), {1, {}, std::make_shared<const Bytes>(table)});
  }
  {
    Disk disk;
    CO_TRY(file, disk.open(folder + "/plain-table", Disk::Open::create_new));
    CO_TRY_DO(file->write(0, table));
    const auto begin = Clock::now();
    Bytes got(table.size());
    CO_TRY_DO(file->read(0, got));
    out.plain_ms = seconds_since(begin) * 1000;
  }
  // As a new process would find it.
  Offline offline(executor, pool, folder);
  const auto begin = Clock::now();
  auto directory = co_await offline.cached.directory(cap);
  Result<> outcome;
  if (directory) {
    outcome = co_await (*directory)->refresh();
    out.names_ms = seconds_since(begin) * 1000;
    if (outcome && (*directory)->children().size() != count)
      outcome = fail(Errc::internal, "the listing is not whole");
    out.shown_ms = seconds_since(begin) * 1000;
  } else {
    outcome = std::unexpected(directory.error());
  }
  directory = fail(Errc::closed);
  co_await offline.close();
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  co_return out;
}

}  // namespace

Task<Result<std::vector<Figure>>> bench_cache(asio::any_io_executor executor, Pool& pool,
                                              CacheBench options) {
  CO_TRY(folder, Folder::make(options.directory));
  const auto path = folder.path();
  std::vector<Figure> out;

  CO_TRY(plain, plain_records(path, options.records));
  CO_TRY(journal, co_await journal_records(executor, path, options.records));
  out.push_back(
      against({"journal records, acknowledged", journal.appended, "1/s"}, plain.appended));
  out.push_back(
      against({"journal records, synced in groups", journal.grouped, "1/s"}, plain.grouped));
  out.push_back(
      against({"journal records, synced one by one", journal.synced, "1/s"}, plain.synced));

  CO_TRY(limit, plain_segments(path, options.segments));
  CO_TRY(segments, co_await cached_segments(executor, pool, path, options.segments));
  out.push_back(against({"cached segments of 128 KiB", segments, "1/s"}, limit));

  CO_TRY(times, co_await listing(executor, pool, path, options.entries));
  const auto entries = std::to_string(options.entries);
  out.push_back(against(
      {"directory of " + entries + " after a restart, grid away: names", times.names_ms, "ms"},
      times.plain_ms));
  out.push_back(against(
      {"directory of " + entries + " after a restart, grid away: everything", times.shown_ms, "ms"},
      times.plain_ms));
  co_return out;
}

}  // namespace lafs::cli
