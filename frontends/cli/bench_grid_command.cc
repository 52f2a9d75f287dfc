// SPDX-License-Identifier: Apache-2.0

// lafs bench grid: starts real servers in a temporary directory, measures, and takes all away
// again.

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "frontends/cli/bench/bench_grid.h"
#include "frontends/cli/commands.h"
#include "frontends/cli/local_grid.h"
#include "frontends/cli/output.h"
#include "frontends/cli/progress.h"
#include "grid/node_dir.h"
#include "grid/node_dir/quantities.h"

namespace lafs::cli {

namespace {

struct Options {
  unsigned servers = 10;
  std::string shares = "3,7,10";
  std::string size = "256MiB";
  std::uint64_t latency = 0;
  std::string bandwidth;
  unsigned stall = 0;
  unsigned slow = 0;
  unsigned lie = 0;
  bool json = false;
};

// A directory that goes away with this.
class Temporary {
 public:
  static Result<Temporary> make() {
    auto name = (std::filesystem::temp_directory_path() / "lafs-bench-XXXXXX").string();
    if (!::mkdtemp(name.data())) return grid::system_error(errno, name, "create");
    return Temporary(name);
  }
  Temporary(Temporary&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Temporary& operator=(Temporary&&) = delete;
  ~Temporary() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit Temporary(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

Task<Result<std::vector<Figure>>> measure(Io io, const LocalGrid& local, const Options& options,
                                          const grid::ShareCounts& shares, std::uint64_t size,
                                          std::uint64_t bandwidth) {
  std::vector<BenchMember> members;
  for (auto& member : local.members()) {
    CO_TRY(pid, local.start(member));
    const auto& entry = member.announcement;
    members.push_back({entry.id, entry.nickname, entry.nurls.front(), entry.permutation_seed,
                       entry.lease_seed, pid, member.node / "storage" / "shares"});
  }
  GridBenchOptions bench;
  bench.k = shares.needed;
  bench.happy = std::min<std::uint64_t>(shares.happy, options.servers);
  bench.n = shares.total;
  bench.size = size;
  bench.round_trip = std::chrono::milliseconds(options.latency);
  bench.bandwidth = bandwidth;
  bench.stall = options.stall;
  bench.slow = options.slow;
  bench.lie = options.lie;
  Progress progress("bench grid", !options.json);
  auto* bar = &progress;
  co_return co_await bench_grid(io.executor, std::move(members), bench,
                                [bar](std::string text) { bar->what("bench grid: " + text); });
}

Task<Result<Exit>> bench_grid_command(Io io, const Options& options) {
  CO_TRY(shares, grid::ShareCounts::parse(options.shares));
  CO_TRY(size, grid::parse_size(options.size));
  CO_TRY(bandwidth, grid::parse_size(options.bandwidth));
  if (!size || *size < 1000) co_return fail(Errc::bad_argument, "--size of less than 1000 bytes");
  if (options.servers == 0 || options.servers > 100) {
    co_return fail(Errc::bad_argument, "--servers of less than 1 or more than 100");
  }
  if (options.stall + options.slow + options.lie > options.servers) {
    co_return fail(Errc::bad_argument, "more bad servers than servers");
  }
  CO_TRY(temporary, Temporary::make());
  LocalGrid local(temporary.path() / "grid");
  CO_TRY_DO(local.prepare(options.servers));
  auto figures = co_await measure(io, local, options, shares, *size, bandwidth ? *bandwidth : 0);
  for (auto& member : local.members()) {
    (void)LocalGrid::stop(member.node, std::chrono::seconds(5));
  }
  if (!figures) co_return std::unexpected(std::move(figures).error());
  print(options.json ? figures_json(*figures) + "\n" : figures_table(*figures));
  co_return Exit::ok;
}

}  // namespace

void add_bench_grid_command(Commands& commands) {
  auto* command = commands.add("bench grid", "Measure uploads and downloads with real servers");
  auto options = std::make_shared<Options>();
  command->add_option("--servers", options->servers, "Storage servers to start on loopback")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--shares", options->shares, "Shares needed, servers to write, shares in all")
      ->type_name("K,H,N")
      ->capture_default_str();
  command->add_option("--size", options->size, "Size of the file")
      ->type_name("SIZE")
      ->capture_default_str();
  command->add_option("--latency", options->latency, "Milliseconds a round trip takes longer")
      ->type_name("MS");
  command->add_option("--bandwidth", options->bandwidth, "What each server's line has in a second")
      ->type_name("SIZE");
  command->add_option("--stall", options->stall, "So many servers fall silent during a download")
      ->type_name("J");
  command->add_option("--slow", options->slow, "So many servers take a second longer from then on")
      ->type_name("J");
  command
      ->add_option("--lie", options->lie, "The shares of so many servers are damaged from then on")
      ->type_name("J");
  command->add_flag("--json", options->json, "Print one JSON object");
  commands.on_io(command, [options](Io io) { return bench_grid_command(io, *options); });
}

}  // namespace lafs::cli
