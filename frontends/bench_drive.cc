// SPDX-License-Identifier: Apache-2.0
#include "frontends/bench_drive.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

#include "cache/write_back.h"
#include "frontends/drive.h"
#include "frontends/fs/grid_fs.h"
#include "grid/crypto/random.h"

namespace lafs {

namespace {

using cli::Figure;
using namespace std::chrono_literals;

const grid::Secret32 secret = *grid::Secret32::from(Bytes(32, 1));
constexpr std::size_t files_per_directory = 1000;
constexpr fs::Caller nobody;

double seconds_since(TimePoint begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double cpu_seconds() {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

double resident_mib() {
  ::malloc_trim(0);
  unsigned long pages = 0, resident = 0;
  if (auto* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu %lu", &pages, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

// Files in directories of a thousand each, as a program would copy them.
Task<Result<>> make_files(fs::Filesystem& files, fs::NodeId parent, std::uint64_t count,
                          std::uint64_t bytes) {
  fs::Attributes directory;
  const fs::OpenFlags writing{.read = false, .write = true};
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i % files_per_directory == 0) {
      if (i > 0) files.forget(directory.id, 1);
      CO_TRY(made, co_await files.mkdir(parent, "d" + std::to_string(i / files_per_directory), 0755,
                                        nobody));
      directory = made;
    }
    CO_TRY(opened, co_await files.create(directory.id, "file-" + std::to_string(i), 0644, writing,
                                         true, nobody));
    Bytes content(bytes);
    grid::random_fill(content);
    CO_TRY_DO(co_await files.write(opened.handle, 0, content));
    CO_TRY_DO(co_await files.flush(opened.handle));
    co_await files.release(opened.handle);
    files.forget(opened.attributes.id, 1);
  }
  if (count > 0) files.forget(directory.id, 1);
  co_return Result<>{};
}

// One process' worth of a drive whose grid is away. Its root is known from an earlier day.
struct OfflineDrive {
  OfflineDrive(asio::any_io_executor executor, Pool& pool, const std::string& folder)
      : client(executor, roster, pool, grid::Client::Options{}),
        cached(executor, client, cache_options(folder)) {}
  static cache::CachedClient::Options cache_options(const std::string& folder) {
    cache::CachedClient::Options out;
    out.disk = cache::ReadCache::Options{
        .directory = folder + "/cache", .node_secret = secret, .min_free = 0};
    return out;
  }
  static grid::Cap root() {
    return grid::Cap(grid::MutableWriteCap{grid::MutableFormat::sdmf, grid::Key16(), {}}, true);
  }

  Task<Result<>> start(asio::any_io_executor executor, std::string folder) {
    cache::WriteBack::Options options;
    options.directory = folder + "/drive";
    options.node_secret = secret;
    options.budget.min_free = 0;
    CO_TRY(opened, cache::WriteBack::open(executor, cached, disk, std::move(options)));
    write_back = std::move(opened);
    fs::GridFs::Options fs_options;
    files = std::make_unique<fs::GridFs>(cached, *write_back, root(), std::move(fs_options));
    co_return Result<>{};
  }
  Task<> close() {
    if (files) (void)co_await files->close();
    files.reset();
    if (write_back) (void)co_await write_back->close();
    write_back.reset();
    co_await cached.close();
    co_await client.close();
  }

  grid::storage::Roster roster;
  grid::Client client;
  cache::CachedClient cached;
  cache::Disk disk;
  std::unique_ptr<cache::WriteBack> write_back;
  std::unique_ptr<fs::GridFs> files;
};

Task<Result<double>> fill(OfflineDrive& drive, asio::any_io_executor executor, std::string folder,
                          std::uint64_t count) {
  CO_TRY_DO(co_await drive.start(executor, std::move(folder)));
  const auto begin = Clock::now();
  CO_TRY_DO(co_await make_files(*drive.files, fs::root_node, count, 100));
  co_return static_cast<double>(count) / seconds_since(begin);
}

// Until a name that waits can be looked up.
Task<Result<double>> usable(OfflineDrive& drive, asio::any_io_executor executor,
                            std::string folder) {
  const auto begin = Clock::now();
  CO_TRY_DO(co_await drive.start(executor, std::move(folder)));
  CO_TRY(found, co_await drive.files->lookup(fs::root_node, "d0"));
  CO_TRY(inside, co_await drive.files->lookup(found.id, "file-1"));
  const auto took = seconds_since(begin);
  drive.files->forget(inside.id, 1);
  drive.files->forget(found.id, 1);
  co_return took;
}

}  // namespace

Task<Result<std::vector<Figure>>> bench_pending(asio::any_io_executor executor, Pool& pool,
                                                std::string folder, std::uint64_t count) {
  {
    auto kept = cache::ReadCache::open(*OfflineDrive::cache_options(folder).disk);
    if (!kept) co_return std::unexpected(std::move(kept.error()));
    (*kept)->keep_listing(OfflineDrive::root().text(), {1, {}, std::make_shared<const Bytes>()});
  }
  const auto before = resident_mib();
  Result<double> made = fail(Errc::internal), opened = fail(Errc::internal);
  double memory = 0, memory_later = 0;
  {
    OfflineDrive drive(executor, pool, folder);
    made = co_await fill(drive, executor, folder, count);
    memory = resident_mib() - before;
    co_await drive.close();
  }
  const auto between = resident_mib();
  {
    OfflineDrive drive(executor, pool, folder);
    opened = co_await usable(drive, executor, folder);
    memory_later = resident_mib() - between;
    co_await drive.close();
  }
  if (!made) co_return std::unexpected(std::move(made.error()));
  if (!opened) co_return std::unexpected(std::move(opened.error()));
  const auto n = std::to_string(count);
  std::vector<Figure> out;
  out.push_back({"files of 100 bytes made, written and closed, grid away", *made, "1/s"});
  out.push_back({"memory with " + n + " pending files", memory, "MiB"});
  out.push_back({"memory with " + n + " pending files, after a restart", memory_later, "MiB"});
  out.push_back({"start with " + n + " pending files, until usable", *opened * 1000, "ms"});
  co_return out;
}

namespace {

Task<Result<std::vector<Figure>>> drain(Drive& drive, std::string place, std::uint64_t count,
                                        std::uint64_t bytes) {
  RootOptions options;
  CO_TRY(view, co_await drive.root(std::move(place), std::move(options)));
  const auto name = "bench-" + to_hex(grid::random_array<6>());
  CO_TRY(folder, co_await view->mkdir(fs::root_node, name, 0755, nobody));
  auto& write_back = *drive.write_back();
  CO_TRY_DO(co_await write_back.flush(0, Clock::now() + 60s, cache::WriteBack::OnError::give_up));
  const auto begin = Clock::now();
  const auto cpu = cpu_seconds();
  CO_TRY_DO(co_await make_files(*view, folder.id, count, bytes));
  const auto acknowledged = seconds_since(begin);
  CO_TRY_DO(co_await write_back.flush(0, Clock::now() + 600s, cache::WriteBack::OnError::give_up));
  const auto all = seconds_since(begin);
  const auto spent = cpu_seconds() - cpu;
  for (std::uint64_t d = 0; d * files_per_directory < count; ++d) {
    const auto sub = "d" + std::to_string(d);
    CO_TRY(there, co_await view->lookup(folder.id, sub));
    for (auto i = d * files_per_directory; i < std::min((d + 1) * files_per_directory, count); ++i)
      CO_TRY_DO(co_await view->unlink(there.id, "file-" + std::to_string(i)));
    view->forget(there.id, 1);
    CO_TRY_DO(co_await view->rmdir(folder.id, sub));
  }
  view->forget(folder.id, 1);
  CO_TRY_DO(co_await view->rmdir(fs::root_node, name));
  const auto n = static_cast<double>(count);
  const auto what = "files of " + std::to_string(bytes) + " bytes ";
  std::vector<Figure> out;
  out.push_back({what + "acknowledged", n / acknowledged, "1/s"});
  out.push_back({what + "drained to the grid", n / all, "1/s"});
  out.push_back({what + "drained for each CPU second of ours", n / spent, "1/s"});
  co_return out;
}

}  // namespace

Task<Result<std::vector<Figure>>> bench_drain(cli::Session& session, std::string place,
                                              std::uint64_t count, std::uint64_t bytes) {
  Drive drive(session);
  auto figures = co_await drain(drive, std::move(place), count, bytes);
  auto closed = co_await drive.close();
  if (figures && !closed) co_return std::unexpected(std::move(closed.error()));
  co_return figures;
}

}  // namespace lafs
