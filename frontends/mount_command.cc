// SPDX-License-Identifier: Apache-2.0
#include "frontends/mount_command.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <cstdio>
#include <thread>

#include "frontends/cli/control_client.h"
#include "frontends/cli/daemon_commands.h"
#include "frontends/cli/output.h"
#include "frontends/detach.h"
#include "frontends/files_daemon.h"
#include "frontends/fuse/mountpoint.h"
#include "grid/base/log.h"
#include "grid/base/notify.h"
#include "grid/node_dir/files.h"

namespace lafs {

namespace {

namespace json = boost::json;
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
// Nobody waits for us any more, so that there is all the time of the world, until somebody says
// otherwise. What is not on the grid then is kept for the next start.
Task<> drain(Drive& drive, const Daemon& daemon) {
  auto* const queue = drive.write_back();
  bool stop = co_await stop_requested();
  while (queue && !stop && !daemon.hurried() && !queue->pending(0).empty()) {
    const auto until = Clock::now() + std::chrono::seconds(1);
    const auto done = co_await queue->flush(0, until, cache::WriteBack::OnError::keep_trying);
    (void)done;
    stop = co_await stop_requested();
  }
}

Task<Result<>> serve_mounts(Session& session, Drive& drive, FilesDaemon& files,
                            MountRequest request, Detached* detached,
                            std::optional<grid::FileLock>& pid_file) {
  auto& daemon = files.daemon();
  if (request.words.pid_file) {
    auto taken = grid::FileLock::try_take(*request.words.pid_file);
    if (!taken) co_return annotate(std::move(taken.error()), "pid file");
    pid_file.emplace(std::move(*taken));
    CO_TRY_DO(pid_file->write(std::to_string(::getpid()) + "\n"));
  }
  const auto log_file =
      request.words.log_file.value_or((session.node().path() / "mount.log").string());
  CO_TRY_DO(files.begin(!request.words.log_file));
  auto mounted = co_await daemon.mounts().start(std::move(request));
  if (!mounted) co_return std::unexpected(std::move(mounted.error()));
  Result<> outcome;
  if (detached) outcome = detached->ready(log_file);
  if (outcome) {
    files.process().ready("mounted at " + *mounted);
    co_await daemon.mounts().all_ended();
    notify_service_manager("STATUS=bringing what was written to the grid");
    co_await drain(drive, daemon);
    files.process().stopping();
  }
  co_return outcome;
}

Task<Result<Exit>> serve(Session& session, MountRequest request, Detached* detached,
                         std::string log_level, std::optional<grid::FileLock>& pid_file) {
  Drive drive(session);
  CacheSettings cache;
  cache.directory = request.words.cache_dir;
  cache.read_bytes = request.words.cache_size;
  cache.min_free = request.words.min_free;
  cache.keep_reads = request.words.cache_reads.value_or(true);
  drive.set_cache(std::move(cache));
  FilesDaemon files(drive, log_level);
  auto outcome =
      co_await serve_mounts(session, drive, files, std::move(request), detached, pid_file);
  co_await cli::heard_stop();
  co_await files.close();
  auto closed = co_await drive.close();
  if (!closed) {
    log::error("not everything that was written reached the grid: " + closed.error().message());
  }
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  if (!closed) co_return annotate(std::move(closed.error()), "not everything reached the grid");
  co_return Exit::ok;
}

// A daemon that runs on the node directory mounts for us: only one process has its journal. Nothing
// when none runs.
Task<Result<Exit>> mount_by_daemon(std::filesystem::path node, const MountRequest& request,
                                   std::string words, bool& mounted) {
  json::object ask{{"do", "mount"},
                   {"root", request.root},
                   {"mountpoint", request.mountpoint},
                   {"options", std::move(words)},
                   {"stay", request.words.foreground}};
  auto answer =
      co_await cli::ask_daemon(std::move(node), json::serialize(ask), std::chrono::hours(24 * 365),
                               [&](const std::string&) { mounted = true; });
  if (answer) {
    mounted = true;
    co_return Exit::ok;
  }
  // Ended by a signal at this terminal: what was mounted from here goes.
  if (mounted && answer.error().code == Errc::cancelled)
    CO_TRY_DO(fuse::unmount(request.mountpoint, true));
  co_return std::unexpected(std::move(answer.error()));
}

// What was unmounted just now is still being put away by its process, which has the journal until
// then.
void wait_for_predecessor(const std::string& journal) {
  const int directory = ::open(journal.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  const auto limit = Clock::now() + std::chrono::seconds(20);
  while (::flock(directory, LOCK_EX | LOCK_NB) != 0 && Clock::now() < limit)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ::close(directory);
}

Result<Exit> mount(const Commands& commands, const Options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  TRY(request, request_for(options));
  auto globals = commands.globals();
  if (request.words.node && globals.node.empty()) globals.node = *request.words.node;
  if (request.words.debug) globals.log_level = "debug";
  log::set_level_from_name(globals.log_level);

  bool mounted = false;
  auto words = options.words + (options.read_only ? ",ro" : "");
  auto beside = cli::run_io(
      [&](Io) { return mount_by_daemon(globals.node_path(), request, std::move(words), mounted); });
  // One that goes while we ask is as good as none.
  const auto gone = [](const Error& error) {
    return error.code == Errc::not_found || error.code == Errc::unreachable;
  };
  if (beside.result || mounted || !gone(beside.result.error())) return std::move(beside.result);
  const auto files = request.words.cache_dir.value_or((globals.node_path() / "private").string());
  wait_for_predecessor(files + "/drive/journal");

  std::optional<Detached> detached;
  if (!request.words.foreground && !request.words.debug) {
    TRY(forked, Detached::fork());
    if (!forked.is_child()) return Exit::ok;
    detached.emplace(std::move(forked));
  }
  auto* background = detached ? &*detached : nullptr;
  // Held until there is nothing left to do: whoever waits for it may then take everything away.
  std::optional<grid::FileLock> pid_file;
  auto ended = cli::run_io([&](Io io) {
    return cli::with_session(io, globals, [&](Session& session) {
      return serve(session, std::move(request), background, globals.log_level, pid_file);
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

struct UmountOptions {
  std::string mountpoint;
  bool lazy = false, now = false, quiet = false;
  double timeout = 0;
};

// Which node directory a mount is of: it says so itself.
std::filesystem::path node_of(const std::string& mountpoint, const cli::Globals& globals) {
  char text[PATH_MAX];
  const auto size = ::getxattr(mountpoint.c_str(), fuse::node_attribute, text, sizeof text);
  return size > 0 ? std::filesystem::path(std::string(text, static_cast<std::size_t>(size)))
                  : globals.node_path();
}

Task<Result<Exit>> umount(const cli::Globals& globals, UmountOptions options) {
  CO_TRY(mountpoint, fuse::canonical_mountpoint(options.mountpoint));
  const auto there = fuse::mounted_at(mountpoint);
  if (!there) co_return fail(Errc::not_found, "nothing is mounted at " + mountpoint);
  if (!there->type.starts_with("fuse.lafs"))
    co_return fail(Errc::bad_argument, "what is mounted at " + mountpoint + " is " + there->type);
  const auto node = node_of(mountpoint, globals);
  if (options.now) {
    const auto hurried =
        co_await cli::ask_daemon(node, R"({"do":"hurry"})", std::chrono::seconds(10));
    (void)hurried;  // a daemon that is gone is in no need of it
  } else {
    std::optional<std::chrono::duration<double>> limit;
    if (options.timeout > 0) limit = std::chrono::duration<double>(options.timeout);
    auto flushed = co_await cli::flush_with_progress(node, 0, limit, options.quiet);
    if (!flushed)
      co_return annotate(std::move(flushed.error()),
                         "still mounted (with --now, what is left is stored after the next mount)");
  }
  CO_TRY_DO(fuse::unmount(mountpoint, options.lazy));
  co_return Exit::ok;
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
  mounting
      ->add_option("--pid-file", options->pid_file,
                   "Locked until the process ends; says which it is")
      ->type_name("FILE");
  mounting->add_option("--log-file", options->log_file, "Default: mount.log in the node directory")
      ->type_name("FILE");
  commands.on(mounting, [&commands, options] { return mount(commands, *options); });

  auto* unmounting = commands.add("umount", "Unmount");
  auto umount_options = std::make_shared<UmountOptions>();
  unmounting->add_option("MOUNTPOINT", umount_options->mountpoint, "Where it is mounted")
      ->required();
  unmounting->add_flag("--now", umount_options->now,
                       "Do not wait for the grid: what is left is stored after the next mount");
  unmounting
      ->add_option("--timeout", umount_options->timeout,
                   "Stay mounted when the grid does not have everything after so many seconds")
      ->check(CLI::NonNegativeNumber)
      ->type_name("SECONDS");
  unmounting->add_flag("-l,--lazy", umount_options->lazy,
                       "Also while files are open; they can be used to the end");
  unmounting->add_flag("-q,--quiet", umount_options->quiet, "No progress bar");
  commands.on_io(unmounting, [&commands, umount_options](Io) {
    return umount(commands.globals(), *umount_options);
  });
}

}  // namespace lafs
