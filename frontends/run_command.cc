// SPDX-License-Identifier: Apache-2.0

// lafs run: everything that the node's tahoe.cfg enables, in one process with one namespace and one
// cache. Each part is supervised; one that fails does not take the others down.

#include "frontends/run_command.h"

#include <CLI/CLI.hpp>
#include <csignal>

#include "frontends/cli/local_grid.h"
#include "frontends/cli/output.h"
#include "frontends/cli/storage_control.h"
#include "frontends/daemon.h"
#include "frontends/ftp_server.h"
#include "frontends/sftp_service.h"
#include "frontends/supervisor.h"
#include "grid/base/log.h"
#include "grid/base/metrics_endpoint.h"
#include "grid/base/notify.h"
#include "grid/introducer_node.h"
#include "grid/storage_announcer.h"
#include "grid/storage_service.h"

namespace lafs {

namespace {

using cli::Exit;
using cli::Io;

constexpr auto clients_may_finish = std::chrono::seconds(10);

// What the configuration enables.
struct Plan {
  std::vector<MountRequest> mounts;
  bool sftp = false, ftp = false, storage = false, introducer = false;
  std::optional<std::uint16_t> metrics_port;

  bool files() const { return !mounts.empty() || sftp || ftp; }
  bool nothing() const { return !files() && !storage && !introducer; }
};

// [mounts] NAME = ROOT MOUNTPOINT [OPTIONS], as in fstab: "\040" is a blank.
Result<MountRequest> parse_mount(const grid::ConfigFile& config, const std::string& name) {
  const auto wrong = [&](const std::string& what) {
    return fail(Errc::bad_config,
                config.where("mounts", name) + ": [mounts] " + name + ": " + what);
  };
  TRY(value, config.text("mounts", name));
  std::vector<std::string> words;
  std::string word;
  const std::string text = value.value_or("") + " ";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 4, "\\040") == 0) {
      word += ' ';
      i += 3;
    } else if (text[i] == ' ' || text[i] == '\t' || text[i] == '\n') {
      if (!word.empty()) words.push_back(std::exchange(word, {}));
    } else {
      word += text[i];
    }
  }
  if (words.size() < 2 || words.size() > 3)
    return wrong("write ROOT MOUNTPOINT [OPTIONS], e.g. tahoe: /home/me/drive allow_other");
  MountRequest out;
  out.root = words[0];
  out.mountpoint = words[1];
  auto options = parse_mount_words(words.size() > 2 ? words[2] : "");
  if (!options) return wrong(options.error().context);
  out.words = std::move(*options);
  return out;
}

Result<bool> enabled(const grid::ConfigFile& config, const char* section) {
  TRY(value, config.boolean(section, "enabled"));
  return value.value_or(false);
}

Result<Plan> plan_for(const grid::NodeDir& node) {
  const auto& config = node.config();
  Plan out;
  for (const auto& name : config.keys("mounts")) {
    TRY(one, parse_mount(config, name));
    out.mounts.push_back(std::move(one));
  }
  TRY(sftp, enabled(config, "sftpd"));
  out.sftp = sftp;
  TRY(ftp, ftp_enabled(node));
  out.ftp = ftp;
  out.storage = node.storage().enabled;
  TRY(introducer, enabled(config, "introducer"));
  out.introducer = introducer;
  TRY(port, config.number("metrics", "port", 1, 65535));
  if (port) out.metrics_port = static_cast<std::uint16_t>(*port);
  if (!port) out.metrics_port = node.storage().metrics_port;
  if (out.nothing()) {
    return fail(Errc::bad_config,
                (node.path() / "tahoe.cfg").string() +
                    ": nothing to run; enable [sftpd], [ftpd], [storage] or [introducer], or name "
                    "mounts in [mounts]");
  }
  return out;
}

// ------------------------------------------------------------------------ the parts

Task<Result<>> serve_mount(Daemon& daemon, MountRequest request, Stop& stop, bool& serving) {
  CO_TRY(at, co_await daemon.mounts().start(std::move(request)));
  log::info("mounted at " + at);
  serving = true;
  // Ends with an unmounting by hand as well: then it is mounted again only when asked for.
  auto waiting = [](Mounts& mounts, std::string where) -> Task<> {
    auto ended = co_await mounts.ended(std::move(where));
    if (!ended) log::warning(ended.error().message());
  };
  TaskGroup group(co_await asio::this_coro::executor);
  group.spawn(waiting(daemon.mounts(), at));
  co_await stop.wait();
  group.cancel();
  co_await group.join();
  co_return Result<>{};
}

// Who may log in, for both protocols: guesses are counted together. Opened by whoever needs it
// first, so that a missing file is the trouble of those parts alone.
class SharedLogin {
 public:
  SharedLogin(Io io, const grid::NodeDir& node) : io_(io), node_(node) {}

  Result<fs::Login*> get() {
    if (!login_) {
      TRY(settings, SftpSettings::read(node_));
      const fs::Login::Options options;
      auto opened = fs::Login::open(io_.executor, io_.pool, settings.accounts, options);
      if (!opened && opened.error().code == Errc::not_found) {
        return fail(Errc::bad_config, "there are no accounts yet (" + settings.accounts.string() +
                                          "); make one by `lafs accounts add NAME`");
      }
      if (!opened) return std::unexpected(std::move(opened.error()));
      login_ = std::move(*opened);
    }
    return login_.get();
  }

 private:
  Io io_;
  const grid::NodeDir& node_;
  std::unique_ptr<fs::Login> login_;
};

Task<Result<>> serve_sftp(Drive& drive, SharedLogin& shared, Stop& stop, bool& serving) {
  CO_TRY(login, shared.get());
  CO_TRY(settings, SftpSettings::read(drive.session().node()));
  CO_TRY(service, co_await SftpService::start(drive, *login, std::move(settings)));
  for (const auto& address : service->addresses()) log::info("serving SFTP on " + address);
  serving = true;
  co_await stop.wait();
  co_await service->stop(clients_may_finish);
  co_return Result<>{};
}

Task<Result<>> serve_ftp(Drive& drive, SharedLogin& shared, Stop& stop, bool& serving) {
  CO_TRY(login, shared.get());
  CO_TRY(settings, ftp_settings({}, drive.session().node()));
  CO_TRY(server, co_await FtpServer::start(drive, std::move(settings), login));
  log::info(server->listeners());
  serving = true;
  co_await stop.wait();
  co_await server->close();
  co_return Result<>{};
}

Task<Result<>> serve_storage(Io io, const grid::NodeDir& node, metrics::Registry& figures,
                             Stop& stop, bool& serving) {
  CO_TRY(lock, cli::take_server_lock(node.path()));
  CO_TRY(who, grid::StorageNode::prepare(node, std::nullopt));
  CO_TRY(service, co_await grid::StorageService::start(io.executor, io.pool, node, who, figures));
  auto announcer = grid::StorageAnnouncer::start(io.executor, node, who);
  auto control = cli::StorageControl::start(io.executor, node.path(), *service);
  if (!control) log::warning("commands cannot reach this server: " + control.error().message());
  if (announcer) {
    log::info("storage server " + who.announcement.id);
    serving = true;
    co_await stop.wait();
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

Task<Result<>> serve_introducer(Io io, const grid::NodeDir& node, Stop& stop, bool& serving) {
  // Beside a storage server it needs a port of its own.
  CO_TRY(port, node.config().text("introducer", "port"));
  std::optional<grid::Endpoint> at;
  if (port) {
    CO_TRY(places, grid::parse_tub_port(*port));
    if (!places.empty()) at = places.front();
  }
  CO_TRY(introducer, grid::IntroducerNode::start(io.executor, node, at));
  log::info("introducer; its address is in " + node.private_path("introducer.furl").string());
  serving = true;
  co_await stop.wait();
  co_await introducer->close();
  co_return Result<>{};
}

Task<> feed_watchdog(Stop& stop) {
  const auto interval = watchdog_interval();
  while (interval && !stop.requested()) {
    co_await stop.wait(Clock::now() + std::chrono::duration_cast<Duration>(*interval) / 2);
    notify_service_manager("WATCHDOG=1");
  }
}

// Says how the parts are, for people and for Prometheus.
void watch(metrics::Registry& figures, const Supervisor& supervisor, Drive* drive) {
  for (const auto& state : supervisor.states()) {
    figures.ask("lafs_part_up", "Whether a part of the daemon serves.", {{"part", state.name}},
                [&supervisor, name = state.name] {
                  for (const auto& now : supervisor.states()) {
                    if (now.name == name) return now.serving ? 1.0 : 0.0;
                  }
                  return 0.0;
                });
  }
  if (!drive) return;
  figures.ask("lafs_queue_items", "Changes that are not on the grid yet.", {}, [drive] {
    auto* queue = drive->write_back();
    return queue ? static_cast<double>(queue->pending(0).files + queue->pending(0).directories)
                 : 0.0;
  });
}

// ------------------------------------------------------------------------ all together

Task<Result<Exit>> serve_all(Io io, const grid::NodeDir& node, const Plan& plan, Drive* drive,
                             Daemon* daemon) {
  metrics::Registry figures;
  metrics::Endpoint endpoint(io.executor, figures);
  SharedLogin login(io, node);
  if (daemon) CO_TRY_DO(daemon->start());

  Supervisor supervisor(io.executor);
  Stop stop(io.executor);
  TaskGroup watchdog(io.executor);
  for (const auto& request : plan.mounts) {
    supervisor.add("mount " + request.mountpoint, [daemon, request](Stop& until, bool& up) {
      return serve_mount(*daemon, request, until, up);
    });
  }
  if (plan.sftp)
    supervisor.add("sftp",
                   [&](Stop& until, bool& up) { return serve_sftp(*drive, login, until, up); });
  if (plan.ftp)
    supervisor.add("ftp",
                   [&](Stop& until, bool& up) { return serve_ftp(*drive, login, until, up); });
  if (plan.storage)
    supervisor.add("storage", [&](Stop& until, bool& up) {
      return serve_storage(io, node, figures, until, up);
    });
  if (plan.introducer)
    supervisor.add("introducer",
                   [&](Stop& until, bool& up) { return serve_introducer(io, node, until, up); });
  watch(figures, supervisor, drive);
  if (plan.metrics_port) {
    if (auto port = endpoint.listen(*plan.metrics_port); !port)
      log::error("no metrics: " + port.error().message());
  }
  watchdog.spawn(feed_watchdog(stop));
  notify_service_manager("READY=1");
  co_await cli::wait_for_stop();
  log::info("stopping");
  notify_service_manager("STOPPING=1");
  stop.request();
  co_await watchdog.join();
  co_await supervisor.close();
  if (plan.metrics_port) co_await endpoint.close();
  co_return Exit::ok;
}

Task<Result<Exit>> run_with_files(Io io, grid::NodeDir node, Plan plan) {
  CO_TRY(session, cli::Session::open(io, node));
  // The grid may be away: then the parts that need it say so, and are started again.
  auto found = co_await session->find_servers();
  if (!found) log::warning(found.error().message());
  session->membership().follow();
  Result<Exit> outcome = Exit::ok;
  {
    Drive drive(*session);
    Daemon daemon(drive);
    outcome = co_await serve_all(io, node, plan, &drive, &daemon);
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

Task<Result<Exit>> run(Io io, const cli::Globals& globals) {
  std::signal(SIGPIPE, SIG_IGN);
  CO_TRY(node, grid::NodeDir::open(globals.node_path()));
  if (!node.warning().empty()) log::warning(node.warning());
  CO_TRY(plan, plan_for(node));
  if (plan.files()) co_return co_await run_with_files(io, std::move(node), std::move(plan));
  co_return co_await serve_all(io, node, plan, nullptr, nullptr);
}

}  // namespace

void add_run_command(cli::Commands& commands) {
  auto* command = commands.add(
      "run", "Run everything that the node's tahoe.cfg enables: mounts, SFTP, FTP, storage ...");
  commands.on_io(command, [&commands](Io io) { return run(io, commands.globals()); });
}

}  // namespace lafs
