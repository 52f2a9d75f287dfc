// SPDX-License-Identifier: Apache-2.0

// lafs serve storage: one storage server from a node directory.

#include <sys/resource.h>
#include <CLI/CLI.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>

#include "frontends/cli/commands.h"
#include "frontends/cli/local_grid.h"
#include "frontends/cli/output.h"
#include "frontends/cli/storage_control.h"
#include "grid/base/log.h"
#include "grid/base/metrics_endpoint.h"
#include "grid/base/notify.h"
#include "grid/storage_announcer.h"
#include "grid/storage_service.h"

namespace lafs::cli {

namespace {

// How long requests under way may take when the server is told to stop.
constexpr auto drain_patience = std::chrono::seconds(20);

// A server of thousands of connections needs as many descriptors.
void allow_many_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Shows the service manager that the I/O thread still turns.
Task<> feed_watchdog(Duration interval) {
  while (true) {
    co_await sleep_for(interval);
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    notify_service_manager("WATCHDOG=1");
  }
}

// On SIGHUP, tahoe.cfg is read again. A mistake in it leaves everything as it was.
Task<> reload_on_hangup(asio::any_io_executor executor, std::filesystem::path node_path,
                        grid::StorageService& service) {
  asio::signal_set hangups(executor, SIGHUP);
  while (true) {
    auto [error, number] = co_await hangups.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    const auto node = grid::NodeDir::open(node_path);
    if (!node) {
      log::error("the settings stay as they are: " + node.error().message());
      continue;
    }
    service.apply(node->storage());
    log::info("the settings were read again", {{"policy", node->storage().expiry.text()}});
  }
}

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
  if (node.storage().json_log) log::set_format(log::Format::json);
  const auto& expiry = node.storage().expiry;
  log::info(expiry.enabled ? "shares are collected when their leases have run out"
                           : "shares are never collected: expire.enabled is off",
            {{"policy", expiry.text()}});
  allow_many_descriptors();
  CO_TRY(lock, take_server_lock(node.path()));
  CO_TRY(who, grid::StorageNode::prepare(node, address));
  // For the operator: what clients of this server put into their servers.yaml.
  CO_TRY_DO(grid::replace_file(node.private_path("storage.yaml"),
                               grid::format_servers({who.announcement}), grid::private_file));
  metrics::Registry figures;
  metrics::Endpoint endpoint(io.executor, figures);
  CO_TRY(service, co_await grid::StorageService::start(io.executor, io.pool, node, who, figures));
  auto announcer = grid::StorageAnnouncer::start(io.executor, node, who);
  if (!announcer) {
    co_await service->close();
    co_return std::unexpected(std::move(announcer.error()));
  }
  auto control = StorageControl::start(io.executor, node.path(), *service);
  if (!control) log::warning("commands cannot reach this server: " + control.error().message());
  TaskGroup companions(io.executor);
  companions.spawn(reload_on_hangup(io.executor, node.path(), *service));
  if (const auto port = node.storage().metrics_port) {
    if (auto offered = endpoint.listen(*port); !offered) {
      companions.cancel();
      co_await companions.join();
      if (control) co_await control->close();
      co_await (*announcer)->close();
      co_await service->close();
      co_return std::unexpected(offered.error());
    }
  }
  log::info("serving " + node.storage().directory.string() + " as " + who.announcement.id);
  print("storage server " + who.announcement.id + "\nits entry for servers.yaml is in " +
        node.private_path("storage.yaml").string() + "\n");
  if (auto printed = finish_output(); !printed) log::info("nobody reads standard output");
  notify_service_manager("READY=1");
  if (const auto interval = watchdog_interval()) companions.spawn(feed_watchdog(*interval / 2));
  co_await wait_for_stop();
  log::info("stopping");
  notify_service_manager("STOPPING=1");
  companions.cancel();
  co_await companions.join();
  if (control) co_await control->close();
  co_await (*announcer)->close();
  co_await endpoint.close();
  co_await service->drain(drain_patience);
  co_return Exit::ok;
}

}  // namespace

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
