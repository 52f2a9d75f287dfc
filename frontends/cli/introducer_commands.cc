// SPDX-License-Identifier: Apache-2.0

// lafs serve introducer: where the storage servers of a grid are heard of.

#include <CLI/CLI.hpp>
#include <csignal>

#include "frontends/cli/commands.h"
#include "frontends/cli/daemon_process.h"
#include "frontends/cli/local_grid.h"
#include "frontends/cli/output.h"
#include "grid/base/log.h"
#include "grid/introducer_node.h"

namespace lafs::cli {

namespace {

Task<Result<Exit>> serve_introducer(Io io, const Globals& globals, const std::string& address) {
  std::signal(SIGPIPE, SIG_IGN);
  std::optional<grid::Places> at;
  if (!address.empty()) {
    CO_TRY(parsed, grid::Endpoint::parse(address));
    if (!parsed.port) co_return fail(Errc::bad_argument, "--addr needs a port other than 0");
    at = grid::places_at(parsed);
  }
  CO_TRY(node, grid::NodeDir::open(globals.node_path()));
  DaemonProcess process(io.executor, node.path(), globals.log_level);
  CO_TRY_DO(process.begin(node));
  CO_TRY(lock, take_server_lock(node.path()));
  CO_TRY(introducer, grid::IntroducerNode::start(io.executor, node, at));
  log::info("introducer with " + std::to_string(introducer->service().book().size()) +
            " remembered announcements");
  print("introducer " + introducer->furl() + "\n");
  if (auto printed = finish_output(); !printed) log::info("nobody reads standard output");
  const auto reloading = process.on_reload(
      "introducer", [&](const grid::NodeDir& again) { return introducer->reload(again); });
  process.ready("introducer");
  co_await wait_for_stop();
  process.stopping();
  co_await process.close();
  co_await introducer->close();
  co_return Exit::ok;
}

}  // namespace

void add_introducer_commands(Commands& commands) {
  auto* command = commands.add("serve introducer",
                               "Run an introducer: clients learn of storage servers from it");
  auto address = std::make_shared<std::string>();
  command
      ->add_option("--addr", *address,
                   "Listen here and announce it, instead of tub.port and tub.location in tahoe.cfg")
      ->type_name("HOST:PORT");
  commands.on_io(command, [&commands, address](Io io) {
    return serve_introducer(io, commands.globals(), *address);
  });
}

}  // namespace lafs::cli
