// SPDX-License-Identifier: Apache-2.0

// lafs bench: what this machine and this program can do, as figures.

#include <CLI/CLI.hpp>

#include "frontends/cli/bench/bench_cpu.h"
#include "frontends/cli/bench/bench_storage.h"
#include "frontends/cli/commands.h"
#include "frontends/cli/output.h"
#include "grid/node_dir.h"

namespace lafs::cli {

namespace {

struct Options {
  std::string shares = "3,7,10";
  bool json = false;
};

Result<Exit> bench_cpu_command(const Options& options) {
  TRY(shares, grid::ShareCounts::parse(options.shares));
  TRY(figures, bench_cpu(shares.needed, shares.total));
  print(options.json ? figures_json(figures) + "\n" : figures_table(figures));
  return Exit::ok;
}

struct StorageOptions {
  StorageBenchOptions bench;
  std::uint64_t megabytes = 256;
  bool no_sync = false;
  bool json = false;
};

Result<Exit> bench_storage_command(const StorageOptions& options) {
  auto bench = options.bench;
  bench.bulk = options.megabytes << 20;
  bench.durable = !options.no_sync;
  TRY(figures, bench_storage(bench));
  print(options.json ? figures_json(figures) + "\n" : figures_table(figures));
  return Exit::ok;
}

}  // namespace

void add_bench_commands(Commands& commands) {
  auto* command = commands.add("bench cpu", "Measure hashing, encryption and erasure coding");
  auto options = std::make_shared<Options>();
  command->add_option("--shares", options->shares, "Shares needed, servers to write, shares in all")
      ->type_name("K,H,N")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print one JSON object");
  commands.on(command, [options] { return bench_cpu_command(*options); });

  auto* storage = commands.add("bench storage", "Measure a storage server under load");
  auto load = std::make_shared<StorageOptions>();
  load->bench.directory = ".";
  storage->add_option("--dir", load->bench.directory, "On the disk to be measured")
      ->type_name("DIR")
      ->capture_default_str();
  storage->add_option("--size", load->megabytes, "MiB of each bulk transfer")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  storage->add_option("--seconds", load->bench.seconds, "For each rate of small requests")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  storage->add_option("--parallel", load->bench.parallel, "Small requests under way at once")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  storage
      ->add_option("--connections,--idle", load->bench.idle,
                   "Idle connections whose memory is measured")
      ->capture_default_str();
  storage->add_flag("--no-sync", load->no_sync, "The server does not wait for the disk");
  storage->add_flag("--json", load->json, "Print one JSON object");
  commands.on(storage, [load] { return bench_storage_command(*load); });

  add_bench_grid_command(commands);
}

}  // namespace lafs::cli
