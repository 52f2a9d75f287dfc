// SPDX-License-Identifier: Apache-2.0

// lafs bench: what this machine and this program can do, as figures.

#include <CLI/CLI.hpp>

#include "frontends/cli/bench/bench_cpu.h"
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

}  // namespace

void add_bench_commands(Commands& commands) {
  auto* command = commands.add("bench cpu", "Measure hashing, encryption and erasure coding");
  auto options = std::make_shared<Options>();
  command->add_option("--shares", options->shares, "Shares needed, servers to write, shares in all")
      ->type_name("K,H,N")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print one JSON object");
  commands.on(command, [options] { return bench_cpu_command(*options); });
}

}  // namespace lafs::cli
