// SPDX-License-Identifier: Apache-2.0

// lafs bench cache.

#include <CLI/CLI.hpp>

#include "frontends/cli/bench/bench_cache.h"
#include "frontends/cli/commands.h"
#include "frontends/cli/output.h"

namespace lafs::cli {

namespace {

struct Options {
  CacheBench bench{.directory = "."};
  bool json = false;
};

Task<Result<Exit>> run_bench(Io io, const Options& options) {
  auto what = options.bench;
  CO_TRY(figures, co_await bench_cache(io.executor, io.pool, std::move(what)));
  print(options.json ? figures_json(figures) : figures_table(figures));
  CO_TRY_DO(finish_output());
  co_return Exit::ok;
}

}  // namespace

void add_cache_commands(Commands& commands) {
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
  command->add_flag("--json", options->json, "Print one JSON object");
  commands.on_io(command, [options](Io io) { return run_bench(io, *options); });
}

}  // namespace lafs::cli
