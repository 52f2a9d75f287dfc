// SPDX-License-Identifier: Apache-2.0

// lafs serve storage: one storage server from a node directory.

#include "frontends/cli/storage_commands.h"

#include <CLI/CLI.hpp>
#include <csignal>

#include "frontends/cli/commands.h"
#include "frontends/cli/local_grid.h"
#include "frontends/cli/output.h"
#include "frontends/cli/storage_control.h"
#include "grid/base/log.h"
#include "grid/base/metrics_endpoint.h"
#include "grid/base/process_metrics.h"

namespace lafs::cli {

namespace {

// How long requests under way may take when the server is told to stop.
constexpr auto drain_patience = std::chrono::seconds(20);

struct ServeStorage {
  std::string address;
};

Task<Result<Exit>> serve_storage(Io io, const Globals& globals, const ServeStorage& options) {
  std::signal(SIGPIPE, SIG_IGN);
  std::optional<grid::Endpoint> address;
  if (!options.address.empty()) {
    CO_TRY(parsed, grid::Endpoint::parse(options.address));
    if (!parsed.port) co_return fail(Errc::bad_argument, "--addr needs a port other than 0");
    address = parsed;
  }
  CO_TRY(node, grid::NodeDir::open(globals.node_path()));
  if (!node.warning().empty()) log::warning(node.warning());
  if (!node.storage().enabled) {
    co_return fail(Errc::bad_config,
                   node.config().where("storage", "enabled") + ": [storage] enabled is false");
  }
  DaemonProcess process(io.executor, node.path(), globals.log_level);
  CO_TRY_DO(process.begin(node));
  const auto& expiry = node.storage().expiry;
  log::info(expiry.enabled ? "shares are collected when their leases have run out"
                           : "shares are never collected: expire.enabled is off",
            {{"policy", expiry.text()}});
  CO_TRY(lock, take_server_lock(node.path()));
  CO_TRY(who, grid::StorageNode::prepare(node, address));
  // For the operator: what clients of this server put into their servers.yaml.
  CO_TRY_DO(grid::replace_file(node.private_path("storage.yaml"),
                               grid::format_servers({who.announcement}), grid::private_file));
  auto& figures = metrics::of_process();
  metrics::Endpoint endpoint(io.executor, figures);
  CO_TRY(service, co_await grid::StorageService::start(io.executor, io.pool, node, who, figures));
  auto announcer = grid::StorageAnnouncer::start(io.executor, node, who);
  if (!announcer) {
    co_await service->close();
    co_return std::unexpected(std::move(announcer.error()));
  }
  auto control = StorageControl::start(io.executor, node.path(), *service);
  if (!control) log::warning("commands cannot reach this server: " + control.error().message());
  const auto reloading = process.on_reload("storage", storage_reader(*service, **announcer));
  Result<std::uint16_t> offered = 0;
  if (const auto port = node.storage().metrics_port) offered = endpoint.listen(*port);
  if (offered) {
    log::info("serving " + node.storage().directory.string() + " as " + who.announcement.id);
    print("storage server " + who.announcement.id + "\nits entry for servers.yaml is in " +
          node.private_path("storage.yaml").string() + "\n");
    if (auto printed = finish_output(); !printed) log::info("nobody reads standard output");
    process.ready("serving as " + who.announcement.id);
    co_await wait_for_stop();
    process.stopping();
  }
  co_await process.close();
  if (control) co_await control->close();
  co_await (*announcer)->close();
  co_await endpoint.close();
  if (!offered) {
    co_await service->close();
    co_return std::unexpected(std::move(offered.error()));
  }
  co_await service->drain(drain_patience);
  co_return Exit::ok;
}

}  // namespace

DaemonProcess::Reader storage_reader(grid::StorageService& service,
                                     grid::StorageAnnouncer& announcer) {
  return [&](const grid::NodeDir& node) -> Result<DaemonProcess::Change> {
    TRY(announce, announcer.reload(node));
    return [&service, announce, config = node.storage()] {
      service.apply(config);
      announce();
    };
  };
}

void add_storage_commands(Commands& commands) {
  auto* command = commands.add("serve storage", "Run one storage server from a node directory");
  auto options = std::make_shared<ServeStorage>();
  command
      ->add_option("--addr", options->address,
                   "Listen here and announce it, instead of tub.port and tub.location in tahoe.cfg")
      ->type_name("HOST:PORT");
  commands.on_io(command, [&commands, options](Io io) {
    return serve_storage(io, commands.globals(), *options);
  });
}

}  // namespace lafs::cli
