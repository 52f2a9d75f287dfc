// SPDX-License-Identifier: Apache-2.0

// lafs check, verify, repair: whether files are safe on the grid, and making them so.

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "frontends/cli/deep_check.h"
#include "frontends/cli/output.h"
#include "grid/node_dir/quantities.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;

struct Options {
  std::vector<std::string> many;
  bool verify = false;
  bool repair = false;
  bool add_lease = false;
  bool recursive = false;
  bool restart = false;
  bool force = false;
  bool quiet = false;
  bool json = false;
  std::string limit_rate;
};

Task<Result<Exit>> check_one(Session& session, const Options& options,
                             const grid::CheckOptions& check, std::string text) {
  CO_TRY(target, parse_grid_target(text));
  CO_TRY(place, co_await existing_place(session, std::move(target)));
  const auto names = server_names(session.roster());
  auto report = co_await check_place(session, *place.cap, check, options.repair);
  if (!report) co_return annotate(std::move(report).error(), place.text);
  if (options.json) {
    json::object out{{"place", place.text}};
    const auto index = place.cap->storage_index();
    out["storage_index"] = index ? json::value(index->text()) : json::value(nullptr);
    add_health(out, *report, names);
    print(json::serialize(out) + "\n");
  } else {
    print(health_text(place.text, *report, names, true));
  }
  co_return exit_of_health(report->now());
}

Task<Result<Exit>> check(Session& session, const Options& options) {
  grid::CheckOptions checking{
      .verify = options.verify, .force = options.force, .add_lease = options.add_lease};
  if (!options.limit_rate.empty()) {
    CO_TRY(rate, grid::parse_size(options.limit_rate));
    if (!rate || *rate == 0) co_return fail(Errc::bad_argument, "a rate of 0 bytes a second");
    checking.throttle = std::make_shared<Throttle>(*rate);
  }
  auto worst = Exit::ok;
  for (const auto& one : options.many) {
    Exit exit = Exit::ok;
    if (options.recursive) {
      DeepCheck deep(session, {.check = checking,
                               .repair = options.repair,
                               .restart = options.restart,
                               .quiet = options.quiet,
                               .json = options.json});
      CO_TRY(ended, co_await deep.run(one));
      exit = ended;
    } else {
      CO_TRY(ended, co_await check_one(session, options, checking, one));
      exit = ended;
    }
    if (worst == Exit::ok || exit == Exit::grid) worst = exit;
  }
  co_return worst;
}

}  // namespace

void add_check_commands(Commands& commands) {
  const auto add = [&commands](const char* name, const char* description, bool verify,
                               bool repair) {
    auto* command = commands.add(name, description);
    auto options = std::make_shared<Options>();
    options->verify = verify;
    options->repair = repair;
    command->add_option("PLACE", options->many, "alias:path, a cap (verify caps too), or cap/path")
        ->required();
    if (!verify) {
      command->add_flag("--verify", options->verify,
                        "Read every share and prove it, instead of believing the servers");
    }
    if (!repair) {
      command->add_flag("--repair", options->repair, "Make missing and damaged shares anew");
    }
    command->add_flag("--add-lease", options->add_lease, "Renew the lease on every share");
    command->add_flag("-r,--recursive", options->recursive,
                      "A directory and everything below it; goes on where an interrupted one was");
    command->add_flag("--force", options->force,
                      "Mutable files: keep the best version that can be read, although there are "
                      "others as new or newer, which are given up");
    command->add_flag("--restart", options->restart, "With -r: from the beginning");
    command
        ->add_option("--limit-rate", options->limit_rate,
                     "Read at most so many bytes a second, like 10MB")
        ->type_name("SIZE");
    command->add_flag("-q,--quiet", options->quiet, "No progress bar");
    command->add_flag("--json", options->json,
                      "One JSON object for each place; with -r one a line, and a summary");
    commands.on_io(command, [&commands, options](Io io) {
      return with_session(io, commands.globals(),
                          [options](Session& session) { return check(session, *options); });
    });
  };
  add("check", "Say whether files are safe on the grid", false, false);
  add("verify", "Read every share of files and prove it", true, false);
  add("repair", "Make missing shares of files anew", false, true);
}

}  // namespace lafs::cli
