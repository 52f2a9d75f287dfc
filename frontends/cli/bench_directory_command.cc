// SPDX-License-Identifier: Apache-2.0

// lafs bench directory: what directories cost, on this machine and on the grid.

#include <CLI/CLI.hpp>
#include <algorithm>

#include "frontends/cli/bench/bench_directory.h"
#include "frontends/cli/link_commands.h"
#include "frontends/cli/output.h"
#include "frontends/cli/session.h"

namespace lafs::cli {

namespace {

struct Options {
  std::size_t children = 100'000;
  bool grid = false;
  bool json = false;
};

constexpr int rounds = 5;

double seconds_since(TimePoint start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> all) {
  std::ranges::sort(all);
  return all[all.size() / 2];
}

std::vector<grid::Edit> additions(int round, int count) {
  std::vector<grid::Edit> out;
  for (int i = 0; i < count; ++i) {
    grid::Cap cap(grid::LitCap{to_bytes("a small file")});
    out.emplace_back(grid::Edit::Set{
        .name = "file-" + std::to_string(round) + "-" + std::to_string(i), .cap = std::move(cap)});
  }
  return out;
}

Task<> ask(std::shared_ptr<grid::storage::Server> server) { (void)co_await server->version(); }

// All servers at once, on connections that are open: what a publish waits for at least.
Task<double> round_trip(Session& session) {
  std::vector<double> all;
  for (int i = 0; i <= rounds; ++i) {
    const auto start = Clock::now();
    TaskGroup group(session.io().executor);
    for (const auto& known : session.roster().all()) {
      if (known.server) group.spawn(ask(known.server));
    }
    co_await group.join();
    if (i > 0) all.push_back(seconds_since(start));  // the first one connects
  }
  co_return median(std::move(all));
}

Task<Result<std::vector<Figure>>> on_grid(Session& session) {
  auto& client = session.client();
  client.keep_spare_keys(2 * rounds);
  while (client.spare_keys() < 2 * rounds) co_await sleep_for(std::chrono::milliseconds(50));
  CO_TRY(first, co_await client.create_directory());  // the servers have said how they are
  const double trip = co_await round_trip(session);
  std::vector<double> creates, ones, thousands;
  for (int i = 0; i < rounds; ++i) {
    auto start = Clock::now();
    CO_TRY(cap, co_await client.create_directory());
    creates.push_back(seconds_since(start));
    CO_TRY(directory, co_await client.directory(cap));
    grid::EditOptions options;
    CO_TRY_DO(co_await directory->edit(additions(i, 2), options));
    start = Clock::now();
    CO_TRY_DO(co_await directory->edit(additions(100 + i, 1), options));
    ones.push_back(seconds_since(start));
    start = Clock::now();
    CO_TRY_DO(co_await directory->edit(additions(200 + i, 1000), options));
    thousands.push_back(seconds_since(start));
  }
  const auto figure = [](std::string name, double took, double limit) {
    return Figure{std::move(name), took * 1e3, "ms", limit * 1e3, took / limit};
  };
  const double one = median(std::move(ones));
  std::vector<Figure> out;
  out.push_back(
      figure("create an empty directory (limit: a round trip)", median(std::move(creates)), trip));
  out.push_back(figure("add one child (limit: a round trip)", one, trip));
  out.push_back(
      figure("add 1000 children at once (limit: adding one)", median(std::move(thousands)), one));
  co_return out;
}

Result<Exit> report(const std::vector<Figure>& figures, bool json) {
  print(json ? figures_json(figures) + "\n" : figures_table(figures));
  return Exit::ok;
}

Task<Result<Exit>> bench(Session& session, std::shared_ptr<Options> options) {
  CO_TRY(figures, co_await on_grid(session));
  co_return report(figures, options->json);
}

}  // namespace

void add_bench_directory(Commands& commands) {
  auto* command = commands.add("bench directory", "Measure listing, packing and publishing");
  auto options = std::make_shared<Options>();
  command->add_option("--children", options->children, "How many entries the table has")
      ->capture_default_str();
  command->add_flag("--grid", options->grid,
                    "On the node's grid instead: makes some directories that nobody will find");
  command->add_flag("--json", options->json, "Print one JSON object");
  commands.on_io(command, [&commands, options](Io io) -> Task<Result<Exit>> {
    if (options->grid) {
      return with_session(io, commands.globals(),
                          [options](Session& session) { return bench(session, options); });
    }
    return [](std::shared_ptr<Options> o) -> Task<Result<Exit>> {
      CO_TRY(figures, bench_directory(std::max<std::size_t>(10, o->children)));
      co_return report(figures, o->json);
    }(options);
  });
}

}  // namespace lafs::cli
