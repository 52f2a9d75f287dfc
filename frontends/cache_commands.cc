// SPDX-License-Identifier: Apache-2.0

// lafs bench cache, lafs rescue.

#include "frontends/cache_commands.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cache/staging.h"
#include "frontends/bench_drive.h"
#include "frontends/cli/bench/bench_cache.h"
#include "frontends/cli/output.h"
#include "grid/base/log.h"
#include "grid/node_dir.h"

namespace lafs {

namespace {

using cli::Commands;
using cli::Exit;
using cli::Figure;
using cli::Globals;
using cli::Io;

struct Options {
  cli::CacheBench bench{.directory = "."};
  std::uint64_t pending = 100'000;
  std::uint64_t drain = 0, bytes = 1000;
  std::string place;
  bool json = false;
};

void add(std::vector<Figure>& to, std::vector<Figure> more) {
  for (auto& figure : more) to.push_back(std::move(figure));
}

Task<Result<Exit>> run_bench(Io io, const Globals& globals, const Options& options) {
  std::vector<Figure> figures;
  auto what = options.bench;
  CO_TRY(local, co_await cli::bench_cache(io.executor, io.pool, std::move(what)));
  add(figures, std::move(local));
  if (options.pending > 0) {
    auto path = options.bench.directory + "/lafs-bench-XXXXXX";
    if (!::mkdtemp(path.data())) co_return fail(Errc::io, "cannot make a folder in " + path);
    auto waiting = co_await bench_pending(io.executor, io.pool, path, options.pending);
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
    if (!waiting) co_return std::unexpected(std::move(waiting.error()));
    add(figures, std::move(*waiting));
  }
  if (options.drain > 0) {
    CO_TRY(session, cli::Session::open(io, globals));
    auto drained = co_await bench_drain(*session, options.place, options.drain, options.bytes);
    co_await session->close();
    if (!drained) co_return std::unexpected(std::move(drained.error()));
    add(figures, std::move(*drained));
  }
  cli::print(options.json ? cli::figures_json(figures) : cli::figures_table(figures));
  CO_TRY_DO(cli::finish_output());
  co_return Exit::ok;
}

struct RescueOptions {
  std::string to;
  std::string cache_dir;
  bool remove = false;
};

// The last part of the label as a name that nothing else in `folder` has.
std::filesystem::path free_name(const std::filesystem::path& folder, std::string label,
                                cache::StagedId id) {
  label = label.substr(label.rfind('/') + 1);
  std::replace(label.begin(), label.end(), '\0', '?');
  std::uint8_t raw[8];
  put_be<std::uint64_t>(raw, id);
  if (label.empty() || label == "." || label == ".." || label.size() > 200) label = to_hex(raw);
  std::error_code ignored;
  auto path = folder / label;
  if (std::filesystem::exists(path, ignored)) path = folder / (label + "." + to_hex(raw));
  return path;
}

Result<> copy_out(const cache::StagedFile& file, const std::filesystem::path& to) {
  const int fd = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Errc::io, "cannot create " + to.string());
  Result<> done;
  Bytes piece(1u << 20);
  for (std::uint64_t at = 0; done && at < file.size(); at += piece.size()) {
    const auto part =
        MutableBytes(piece).first(std::min<std::uint64_t>(piece.size(), file.size() - at));
    done = file.read(at, part);
    if (done && ::pwrite(fd, part.data(), part.size(), static_cast<off_t>(at)) !=
                    static_cast<ssize_t>(part.size()))
      done = fail(Errc::io, "cannot write " + to.string());
  }
  if (done && ::fsync(fd) != 0) done = fail(Errc::io, "cannot write " + to.string());
  ::close(fd);
  return done;
}

Result<Exit> rescue(const Globals& globals, const RescueOptions& options) {
  TRY(node, grid::NodeDir::open(globals.node_path()));
  TRY(secret, node.lease_secret());
  const auto drive = options.cache_dir.empty() ? node.private_path("drive")
                                               : std::filesystem::path(options.cache_dir) / "drive";
  const auto folder = drive / "staging" / "rescued";
  std::error_code ignored;
  if (!std::filesystem::exists(folder, ignored)) {
    cli::print("nothing was set aside\n");
    return Exit::ok;
  }
  cache::Disk disk;
  TRY(staging,
      cache::Staging::open(disk, nullptr,
                           {.directory = folder.string(), .node_secret = secret, .budget = {}}));
  TRY_DO(disk.make_directory(std::filesystem::absolute(options.to).string()));
  TRY(ids, staging->ids());
  Result<> worst;
  for (const auto id : ids) {
    const auto one = [&]() -> Result<> {
      TRY(found, staging->salvage(id));
      TRY(file, staging->reopen(found.memory));
      const auto to = free_name(options.to, found.label, id);
      TRY_DO(copy_out(*file, to));
      cli::print(to.string() + "\n");
      if (options.remove) TRY_DO(staging->remove(id));
      return {};
    };
    if (auto done = one(); !done) {
      log::error(done.error().message());
      worst = std::move(done);
    }
  }
  TRY_DO(cli::finish_output());
  if (!worst) return std::unexpected(std::move(worst.error()));
  return Exit::ok;
}

}  // namespace

void add_cache_commands(Commands& commands) {
  auto* saved = commands.add(
      "rescue", "Write out what a damaged cache still held of files that were not uploaded");
  auto rescue_options = std::make_shared<RescueOptions>();
  saved->add_option("DIR", rescue_options->to, "Where to; made when it is not there")->required();
  saved->add_option("--cache-dir", rescue_options->cache_dir,
                    "The mount's cache_dir, when it was not the node directory");
  saved->add_flag("--delete", rescue_options->remove, "Forget each file once it is written");
  commands.on(saved,
              [&commands, rescue_options] { return rescue(commands.globals(), *rescue_options); });
  auto* command =
      commands.add("bench cache", "Measure journal, segment cache and listings on a local disk");
  auto options = std::make_shared<Options>();
  command->add_option("--dir", options->bench.directory, "A folder on the disk to be measured")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--records", options->bench.records, "Journal records to write")
      ->check(CLI::Range(1000, 10'000'000))
      ->capture_default_str();
  command->add_option("--segments", options->bench.segments, "Segments of 128 KiB to read")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--entries", options->bench.entries, "Entries of the directory")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command
      ->add_option("--pending", options->pending, "Files that wait for the grid; 0: not measured")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  command
      ->add_option("--drain", options->drain,
                   "Files to bring to the node's grid, in a directory that is removed again; 0: "
                   "not measured")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  command->add_option("--bytes", options->bytes, "Size of each of them")
      ->check(CLI::Range(0, 100'000'000))
      ->capture_default_str();
  command->add_option("--place", options->place, "Below which directory; default: tahoe:");
  command->add_flag("--json", options->json, "Print one JSON object");
  commands.on_io(
      command, [&commands, options](Io io) { return run_bench(io, commands.globals(), *options); });
}

}  // namespace lafs
