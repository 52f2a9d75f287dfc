// SPDX-License-Identifier: Apache-2.0

// lafs run: everything that the node's tahoe.cfg enables, in one process with one namespace and one
// cache. Each part is supervised; one that fails does not take the others down.

#include "frontends/run_command.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <set>

#include "frontends/cli/daemon_process.h"
#include "frontends/cli/local_grid.h"
#include "frontends/cli/output.h"
#include "frontends/cli/storage_commands.h"
#include "frontends/cli/storage_control.h"
#include "frontends/daemon.h"
#include "frontends/files_daemon.h"
#include "frontends/ftp_server.h"
#include "frontends/run_plan.h"
#include "frontends/sftp_service.h"
#include "frontends/supervisor.h"
#include "grid/base/log.h"
#include "grid/base/metrics_endpoint.h"
#include "grid/base/process_metrics.h"
#include "grid/introducer_node.h"
#include "grid/storage_announcer.h"
#include "grid/storage_service.h"

namespace lafs {

namespace {

using cli::Exit;
using cli::Io;

constexpr auto clients_may_finish = std::chrono::seconds(10);

// ------------------------------------------------------------------------ the parts

// What all parts stand on. The node directory is what was read last.
struct House {
  Io io;
  grid::NodeDir& node;
  cli::DaemonProcess& process;
  metrics::Registry& figures;
  Drive* drive;    // null: no files are served
  Daemon& daemon;  // with mounts when there is a drive
};

Task<Result<>> serve_mount(House& house, MountRequest request, Stop& stop,
                           Supervisor::State& state) {
  auto& mounts = house.daemon.mounts();
  CO_TRY(at, co_await mounts.start(std::move(request)));
  state.where = at;
  state.serving = true;
  // Ends with an unmounting by hand as well: then it is mounted again only when asked for.
  auto waiting = [](Mounts& all, std::string where, Supervisor::State& shown) -> Task<> {
    auto ended = co_await all.ended(std::move(where));
    shown.serving = false;
    if (!ended && ended.error().code != Errc::cancelled) log::warning(ended.error().message());
  };
  TaskGroup group(co_await asio::this_coro::executor);
  group.spawn(waiting(mounts, at, state));
  co_await stop.wait();
  co_await mounts.end(at);
  group.cancel();
  co_await group.join();
  co_return Result<>{};
}

// Who may log in, for both protocols: guesses are counted together. Opened by whoever needs it
// first, so that a missing file is the trouble of those parts alone.
class SharedLogin {
 public:
  explicit SharedLogin(House& house) : house_(house) {}

  Result<fs::Login*> get() {
    if (!login_) {
      TRY(settings, SftpSettings::read(house_.node));
      const fs::Login::Options options;
      auto opened = fs::Login::open(house_.io.executor, house_.io.pool, settings.accounts, options);
      if (!opened && opened.error().code == Errc::not_found) {
        return fail(Errc::bad_config, "there are no accounts yet (" + settings.accounts.string() +
                                          "); make one by `lafs accounts add NAME`");
      }
      if (!opened) return std::unexpected(std::move(opened.error()));
      login_ = std::move(*opened);
      following_ = house_.process.on_reload(
          "accounts", [this](const grid::NodeDir&) -> Result<cli::DaemonProcess::Change> {
            TRY_DO(login_->check_file());
            return [this] { login_->read_again(); };
          });
    }
    return login_.get();
  }

 private:
  House& house_;
  std::unique_ptr<fs::Login> login_;
  cli::DaemonProcess::Part following_;
};

Task<Result<>> serve_sftp(House& house, SharedLogin& shared, Stop& stop, Supervisor::State& state) {
  CO_TRY(login, shared.get());
  CO_TRY(settings, SftpSettings::read(house.node));
  CO_TRY(service, co_await SftpService::start(*house.drive, *login, std::move(settings)));
  for (const auto& address : service->addresses()) {
    log::info("serving SFTP on " + address);
    state.where += (state.where.empty() ? "" : ", ") + address;
  }
  state.serving = true;
  co_await stop.wait();
  co_await service->stop(clients_may_finish);
  co_return Result<>{};
}

Task<Result<>> serve_ftp(House& house, SharedLogin& shared, Stop& stop, Supervisor::State& state) {
  CO_TRY(login, shared.get());
  CO_TRY(settings, ftp_settings({}, house.node));
  CO_TRY(server, co_await FtpServer::start(*house.drive, std::move(settings), login));
  log::info(server->listeners());
  state.where = server->addresses();
  state.serving = true;
  co_await stop.wait();
  co_await server->close();
  co_return Result<>{};
}

Task<Result<>> serve_storage(House& house, Stop& stop, Supervisor::State& state) {
  CO_TRY(lock, cli::take_server_lock(house.node.path()));
  CO_TRY(who, grid::StorageNode::prepare(house.node, std::nullopt));
  CO_TRY(service, co_await grid::StorageService::start(house.io.executor, house.io.pool, house.node,
                                                       who, house.figures));
  auto announcer = grid::StorageAnnouncer::start(house.io.executor, house.node, who);
  auto control = cli::StorageControl::start(house.io.executor, house.node.path(), *service);
  if (!control) log::warning("commands cannot reach this server: " + control.error().message());
  if (announcer) {
    log::info("storage server " + who.announcement.id);
    for (const auto& at : who.listen)
      state.where += (state.where.empty() ? "" : ", ") + at.host + ":" + std::to_string(at.port);
    state.serving = true;
    {
      const auto following =
          house.process.on_reload("storage", cli::storage_reader(*service, **announcer));
      co_await stop.wait();
    }
    if (control) co_await control->close();
    co_await (*announcer)->close();
    co_await service->drain(clients_may_finish);
  } else if (control) {
    co_await control->close();
  }
  co_await service->close();
  if (!announcer) co_return std::unexpected(std::move(announcer.error()));
  co_return Result<>{};
}

Task<Result<>> serve_introducer(House& house, Stop& stop, Supervisor::State& state) {
  // Beside a storage server it needs a port of its own.
  const auto& config = house.node.config();
  CO_TRY(port, config.text("introducer", "port"));
  CO_TRY(location, config.text("introducer", "location"));
  std::optional<grid::Places> at;
  if (port) {
    auto places = grid::places_of(*port, location);
    if (!places)
      co_return fail(Errc::bad_config, config.where("introducer", "port") +
                                           ": [introducer] port: " + places.error().context);
    at = std::move(*places);
  } else if (location) {
    co_return fail(Errc::bad_config, config.where("introducer", "location") +
                                         ": [introducer] location: set [introducer] port as well");
  }
  CO_TRY(introducer, grid::IntroducerNode::start(house.io.executor, house.node, at));
  log::info("introducer; its address is in " + house.node.private_path("introducer.furl").string());
  state.where = "private/introducer.furl";
  state.serving = true;
  {
    auto& serving = *introducer;
    const auto following = house.process.on_reload(
        "introducer", [&serving](const grid::NodeDir& node) { return serving.reload(node); });
    co_await stop.wait();
  }
  co_await introducer->close();
  co_return Result<>{};
}

// ------------------------------------------------------------------------ all together

// Brings the parts in line with what the configuration enables.
class Parts {
 public:
  Parts(House& house) : house_(house), login_(house), supervisor_(house.io.executor) {}

  Supervisor& supervisor() { return supervisor_; }

  void follow(const Plan& plan) {
    std::vector<std::string> names;
    const auto part = [&](const Planned& planned, Supervisor::Run run) {
      names.push_back(planned.name);
      show(planned.name);
      supervisor_.set(planned.name, planned.settings, std::move(run));
    };
    for (const auto& [planned, request] : plan.mounts) {
      part(planned, [this, request = request](Stop& stop, Supervisor::State& state) {
        return serve_mount(house_, request, stop, state);
      });
    }
    if (plan.sftp) {
      part(*plan.sftp, [this](Stop& stop, Supervisor::State& state) {
        return serve_sftp(house_, login_, stop, state);
      });
    }
    if (plan.ftp) {
      part(*plan.ftp, [this](Stop& stop, Supervisor::State& state) {
        return serve_ftp(house_, login_, stop, state);
      });
    }
    if (plan.storage) {
      part(*plan.storage, [this](Stop& stop, Supervisor::State& state) {
        return serve_storage(house_, stop, state);
      });
    }
    if (plan.introducer) {
      part(*plan.introducer, [this](Stop& stop, Supervisor::State& state) {
        return serve_introducer(house_, stop, state);
      });
    }
    supervisor_.keep_only(names);
  }

 private:
  // Whether it serves, for Prometheus.
  void show(const std::string& name) {
    if (!shown_.insert(name).second) return;
    const auto find = [this, name](auto what) {
      for (const auto& now : supervisor_.states()) {
        if (now.name == name) return static_cast<double>(what(now));
      }
      return 0.0;
    };
    house_.figures.ask("lafs_part_up", "Whether a part of the daemon serves.", {{"part", name}},
                       [find] { return find([](const auto& s) { return s.serving ? 1 : 0; }); });
    house_.figures.ask("lafs_part_failures", "How often in a row a part had to be started again.",
                       {{"part", name}},
                       [find] { return find([](const auto& s) { return s.failures; }); });
  }

  House& house_;
  SharedLogin login_;
  Supervisor supervisor_;
  std::set<std::string> shown_;
};

Task<Result<Exit>> serve_all(House house, Plan plan) {
  auto& figures = house.figures;
  metrics::Endpoint endpoint(house.io.executor, figures);
  Parts parts(house);
  house.daemon.on_status([&] { return parts.supervisor().states(); });
  house.daemon.on_reload([&] { return house.process.reload(); });
  CO_TRY_DO(house.daemon.start());
  const auto replanning = house.process.on_reload(
      "parts", [&](const grid::NodeDir& node) -> Result<cli::DaemonProcess::Change> {
        TRY(now, plan_for(node));
        if (now.files() && !house.drive) {
          return fail(Errc::bad_config,
                      "mounts, SFTP and FTP beside a daemon that served no files need a new start");
        }
        return [&, now = std::move(now), node] {
          if (!house.drive) house.node = node;  // else the session has taken it over
          parts.follow(now);
        };
      });
  if (house.drive) show_queue(figures, *house.drive);
  parts.follow(plan);
  if (plan.metrics_port) {
    if (auto port = endpoint.listen(*plan.metrics_port); !port)
      log::error("no metrics: " + port.error().message());
  }
  house.process.ready("running");
  co_await cli::wait_for_stop();
  house.process.stopping();
  co_await parts.supervisor().close();
  if (plan.metrics_port) co_await endpoint.close();
  co_return Exit::ok;
}

Task<Result<Exit>> run_with_files(Io io, grid::NodeDir node, Plan plan,
                                  cli::DaemonProcess& process) {
  CO_TRY(session, cli::Session::open(io, node));
  // The grid may be away: then the parts that need it say so, and are started again.
  auto found = co_await session->find_servers();
  if (!found) log::warning(found.error().message());
  session->membership().follow();
  Result<Exit> outcome = Exit::ok;
  {
    const auto members = process.on_reload(
        "servers", [&](const grid::NodeDir& again) { return session->reload(again); });
    Drive drive(*session);
    Daemon daemon(drive);
    outcome = co_await serve_all(
        {io, session->node(), process, metrics::of_process(), &drive, daemon}, std::move(plan));
    co_await daemon.close();
    auto closed = co_await drive.close();
    if (!closed) {
      log::error(
          "not everything that was written reached the grid yet; the next start goes on "
          "with it: " +
          closed.error().message());
      if (outcome) outcome = annotate(std::move(closed.error()), "not everything reached the grid");
    }
  }
  co_await session->close();
  co_return outcome;
}

Task<Result<Exit>> run_without_files(Io io, grid::NodeDir node, Plan plan,
                                     cli::DaemonProcess& process) {
  Daemon daemon(io, node.path());
  auto outcome = co_await serve_all({io, node, process, metrics::of_process(), nullptr, daemon},
                                    std::move(plan));
  co_await daemon.close();
  co_return outcome;
}

Task<Result<Exit>> run(Io io, const cli::Globals& globals) {
  std::signal(SIGPIPE, SIG_IGN);
  CO_TRY(node, grid::NodeDir::open(globals.node_path()));
  cli::DaemonProcess process(io.executor, node.path(), globals.log_level);
  CO_TRY_DO(process.begin(node));
  if (!node.warning().empty()) log::warning(node.warning());
  Result<Exit> outcome = Exit::ok;
  auto plan = plan_for(node);
  if (!plan) {
    outcome = std::unexpected(std::move(plan.error()));
  } else if (plan->files()) {
    outcome = co_await run_with_files(io, std::move(node), std::move(*plan), process);
  } else {
    outcome = co_await run_without_files(io, std::move(node), std::move(*plan), process);
  }
  co_await process.close();
  co_return outcome;
}

}  // namespace

void add_run_command(cli::Commands& commands) {
  auto* command = commands.add(
      "run", "Run everything that the node's tahoe.cfg enables: mounts, SFTP, FTP, storage ...");
  commands.on_io(command, [&commands](Io io) { return run(io, commands.globals()); });
}

}  // namespace lafs
