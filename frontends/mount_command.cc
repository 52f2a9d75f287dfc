// SPDX-License-Identifier: Apache-2.0
#include "frontends/mount_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "frontends/cli/output.h"
#include "frontends/detach.h"
#include "frontends/drive.h"
#include "frontends/fuse/mount.h"
#include "frontends/fuse/mountpoint.h"
#include "frontends/mount_options.h"
#include "grid/base/log.h"
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
  std::string pid_file;
  std::string log_file;
};

Task<Result<>> serve_mount(Session& session, fs::View& files, const Options& options,
                           MountWords words, Detached* detached) {
  std::optional<grid::FileLock> lock;
  if (!options.pid_file.empty()) {
    auto taken = grid::FileLock::try_take(options.pid_file);
    if (!taken) co_return annotate(std::move(taken.error()), "pid file");
    lock.emplace(std::move(*taken));
    CO_TRY_DO(lock->write(std::to_string(::getpid()) + "\n"));
  }
  fuse::MountOptions mount_options;
  mount_options.read_only = files.read_only();
  if (words.allow_other) mount_options.allow_other = *words.allow_other;
  if (words.default_permissions) mount_options.default_permissions = *words.default_permissions;
  mount_options.extra = std::move(words.kernel);
  fuse::Mount mount(session.io().executor);
  auto outcome = mount.start(files, options.places.back(), std::move(mount_options));
  if (!outcome) co_return outcome;
  log::info("mounted at " + mount.mountpoint());
  if (detached) {
    const auto log_file = options.log_file.empty() ? (session.node().path() / "mount.log").string()
                                                   : options.log_file;
    outcome = detached->ready(log_file);
  }
  if (!outcome) mount.stop();
  co_await mount.serve();
  co_await cli::heard_stop();
  co_return outcome;
}

Task<Result<Exit>> serve(Session& session, const Options& options, MountWords words,
                         Detached* detached) {
  Drive drive(session);
  RootOptions root_options;
  root_options.view.read_only = options.read_only || words.read_only;
  root_options.uid = words.uid;
  root_options.gid = words.gid;
  Result<> outcome;
  auto view =
      co_await drive.root(options.places.size() > 1 ? options.places.front() : "", root_options);
  if (!view) {
    outcome = std::unexpected(view.error());
  } else {
    outcome = co_await serve_mount(session, **view, options, std::move(words), detached);
    view->reset();
  }
  auto closed = co_await drive.close();
  if (!closed) {
    log::error("not everything that was written reached the grid: " + closed.error().message());
  }
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  if (!closed) co_return annotate(std::move(closed.error()), "not everything reached the grid");
  log::info("unmounted");
  co_return Exit::ok;
}

Result<Exit> mount(const Commands& commands, const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  TRY(words, parse_mount_words(options.words));
  // Checked here as well, so that the commonest mistakes need no second process.
  TRY(mountpoint, fuse::canonical_mountpoint(options.places.back()));
  std::optional<Detached> detached;
  if (!options.foreground) {
    TRY(forked, Detached::fork());
    if (!forked.is_child()) return Exit::ok;
    detached.emplace(std::move(forked));
  }
  auto* background = detached ? &*detached : nullptr;
  auto ended = cli::run_io([&](Io io) {
    return cli::with_session(io, commands.globals(), [&](Session& session) {
      return serve(session, options, words, background);
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
