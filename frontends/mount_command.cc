// SPDX-License-Identifier: Apache-2.0
#include "frontends/mount_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "frontends/cli/output.h"
#include "frontends/detach.h"
#include "frontends/fuse/mountpoint.h"
#include "frontends/mounts.h"
#include "grid/base/log.h"
#include "grid/base/notify.h"
#include "grid/node_dir/files.h"

namespace lafs {

namespace {

using cli::Commands;
using cli::Exit;
using cli::Io;
using cli::Session;

struct Options {
  std::vector<std::string> places;  // [ROOT] MOUNTPOINT
  std::string words;                // of -o
  bool read_only = false;
  bool foreground = false;
  bool debug = false, single = false;
  std::string pid_file;
  std::string log_file;
};

// Everything that -o and the flags say, in one place.
Result<MountRequest> request_for(const Options& options) {
  MountRequest out;
  TRY(words, parse_mount_words(options.words));
  out.words = std::move(words);
  if (options.read_only) out.words.read_only = true;
  if (options.foreground) out.words.foreground = true;
  if (options.debug) out.words.debug = true;
  if (!options.pid_file.empty()) out.words.pid_file = options.pid_file;
  if (!options.log_file.empty()) out.words.log_file = options.log_file;
  // Checked here as well, so that the commonest mistakes need no second process.
  TRY(mountpoint, fuse::canonical_mountpoint(options.places.back()));
  out.mountpoint = std::move(mountpoint);
  if (options.places.size() > 1) out.root = options.places.front();
  return out;
}

// Tells the service manager that we live, for as long as the I/O thread does.
Task<> feed_watchdog() {
  const auto interval = watchdog_interval();
  if (!interval) co_return;
  for (;;) {
    co_await sleep_for(std::chrono::duration_cast<Duration>(*interval));
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    notify_service_manager("WATCHDOG=1");
  }
}

Task<Result<>> serve_mounts(Session& session, Drive& drive, MountRequest request,
                            Detached* detached) {
  std::optional<grid::FileLock> lock;
  if (request.words.pid_file) {
    auto taken = grid::FileLock::try_take(*request.words.pid_file);
    if (!taken) co_return annotate(std::move(taken.error()), "pid file");
    lock.emplace(std::move(*taken));
    CO_TRY_DO(lock->write(std::to_string(::getpid()) + "\n"));
  }
  const auto log_file =
      request.words.log_file.value_or((session.node().path() / "mount.log").string());
  Mounts mounts(drive);
  auto mounted = co_await mounts.start(std::move(request));
  if (!mounted) co_return std::unexpected(std::move(mounted.error()));
  Result<> outcome;
  if (detached) outcome = detached->ready(log_file);
  if (outcome) {
    notify_service_manager("READY=1\nSTATUS=mounted at " + *mounted);
    TaskGroup watchdog(session.io().executor);
    watchdog.spawn(feed_watchdog());
    co_await mounts.all_ended();
    watchdog.cancel();
    co_await watchdog.join();
  }
  co_await cli::heard_stop();
  co_await mounts.close();
  notify_service_manager("STOPPING=1\nSTATUS=bringing what was written to the grid");
  co_return outcome;
}

Task<Result<Exit>> serve(Session& session, MountRequest request, Detached* detached) {
  Drive drive(session);
  auto outcome = co_await serve_mounts(session, drive, std::move(request), detached);
  auto closed = co_await drive.close();
  if (!closed) {
    log::error("not everything that was written reached the grid: " + closed.error().message());
  }
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  if (!closed) co_return annotate(std::move(closed.error()), "not everything reached the grid");
  co_return Exit::ok;
}

Result<Exit> mount(const Commands& commands, const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  TRY(request, request_for(options));
  auto globals = commands.globals();
  if (request.words.node && globals.node.empty()) globals.node = *request.words.node;
  if (request.words.debug) log::set_level(log::Level::debug);
  std::optional<Detached> detached;
  if (!request.words.foreground && !request.words.debug) {
    TRY(forked, Detached::fork());
    if (!forked.is_child()) return Exit::ok;
    detached.emplace(std::move(forked));
  }
  auto* background = detached ? &*detached : nullptr;
  auto ended = cli::run_io([&](Io io) {
    return cli::with_session(io, globals, [&](Session& session) {
      return serve(session, std::move(request), background);
    });
  });
  if (!detached) {
    if (!ended.result && ended.signal) return Exit::cancelled;
    return std::move(ended.result);
  }
  // Nobody waits for the exit status of a process in the background.
  if (!ended.result) {
    background->failed(ended.result.error());
    log::error(ended.result.error().message());
  }
  std::_Exit(ended.result ? 0 : 1);
}

Result<Exit> umount(const std::string& mountpoint, bool lazy) {
  TRY_DO(fuse::unmount(mountpoint, lazy));
  return Exit::ok;
}

}  // namespace

void add_mount_commands(Commands& commands) {
  auto* mounting = commands.add("mount", "Mount a directory of the grid");
  auto options = std::make_shared<Options>();
  mounting
      ->add_option("PLACES", options->places,
                   "[ROOT] MOUNTPOINT; ROOT: alias:path or a cap (default: the alias tahoe:)")
      ->required()
      ->expected(1, 2);
  mounting->add_option("-o", options->words, "Mount options, separated by commas")
      ->type_name("OPTIONS");
  mounting->add_flag("-r,--read-only", options->read_only, "Refuse every change");
  mounting->add_flag("-f,--foreground", options->foreground, "Stay at the terminal");
  mounting->add_flag("-d,--debug", options->debug, "Stay, and say what happens");
  mounting->add_flag("-s", options->single, "One thread (it is always one)");
  mounting->add_option("--pid-file", options->pid_file, "Locked while mounted; says the process")
      ->type_name("FILE");
  mounting->add_option("--log-file", options->log_file, "Default: mount.log in the node directory")
      ->type_name("FILE");
  commands.on(mounting, [&commands, options] { return mount(commands, *options); });

  auto* unmounting = commands.add("umount", "Unmount");
  auto mountpoint = std::make_shared<std::string>();
  auto lazy = std::make_shared<bool>(false);
  unmounting->add_option("MOUNTPOINT", *mountpoint, "Where it is mounted")->required();
  unmounting->add_flag("-l,--lazy", *lazy,
                       "Also while files are open; they can be used to the end");
  commands.on(unmounting, [mountpoint, lazy] { return umount(*mountpoint, *lazy); });
}

}  // namespace lafs
