// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>

#include "frontends/cli/output.h"
#include "frontends/files_daemon.h"
#include "frontends/served_root.h"
#include "frontends/sftp/fd_mover.h"
#include "frontends/sftp/session.h"
#include "frontends/sftp_service.h"
#include "grid/base/log.h"

namespace lafs {
namespace {

using cli::Exit;
using cli::Session;

constexpr auto last_words_limit = std::chrono::seconds(10);

struct ServeOptions {
  std::vector<std::string> addresses;
  std::string accounts;
  std::string host_keys;
  std::string durability;
  std::size_t connections = 256, connections_of_address = 64;
  unsigned grace = 10;
};

struct StdioOptions {
  bool stdio = false;
  std::string root;
  std::string home = "/";
  std::string durability;
  bool read_only = false;
};

Task<Result<>> serve_until_stopped(Drive& drive, FilesDaemon& files, ServeOptions options) {
  CO_TRY_DO(files.begin());
  auto& session = drive.session();
  CO_TRY(settings, SftpSettings::read(session.node()));
  if (!options.addresses.empty()) settings.addresses = options.addresses;
  if (!options.accounts.empty()) settings.accounts = options.accounts;
  if (!options.host_keys.empty()) {
    settings.host_keys = options.host_keys;
    settings.host_key.reset();
  }
  settings.durability = options.durability;
  settings.connections = options.connections;
  settings.connections_of_address = options.connections_of_address;
  const auto& io = session.io();
  const fs::Login::Options login_options;
  auto login = fs::Login::open(io.executor, io.pool, settings.accounts, login_options);
  if (!login) {
    auto error = std::move(login.error());
    if (error.code == Errc::not_found)
      error = {Errc::bad_config, "there are no accounts yet (" + settings.accounts.string() +
                                     "); make one by `lafs accounts add NAME`"};
    co_return std::unexpected(std::move(error));
  }
  CO_TRY(service, co_await SftpService::start(drive, **login, std::move(settings)));
  for (const auto& address : service->addresses()) cli::print("serving SFTP on " + address + "\n");
  for (const auto& key : service->host_keys())
    cli::print("host key " + key.type + " " + key.fingerprint + "\n");
  if (auto printed = cli::finish_output(); !printed) log::info("nobody reads standard output");
  files.follow(**login);
  std::string where;
  for (const auto& address : service->addresses()) where += (where.empty() ? "" : ", ") + address;
  files.ready("sftp", where);
  co_await cli::wait_for_stop();
  files.process().stopping();
  co_await files.close();
  co_await service->stop(std::chrono::seconds(options.grace));
  co_return Result<>{};
}

// What was written is on its way to the grid: it gets there before we go.
Task<Result<Exit>> end(Drive& drive, Result<> outcome) {
  auto closed = co_await drive.close();
  if (!closed)
    log::error("not everything that was written reached the grid: " + closed.error().message());
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  if (!closed) co_return annotate(std::move(closed.error()), "not everything reached the grid");
  co_return Exit::ok;
}

Task<Result<Exit>> serve_sftp(Session& session, ServeOptions options, std::string log_level) {
  std::signal(SIGPIPE, SIG_IGN);
  Drive drive(session);
  FilesDaemon files(drive, log_level);
  auto outcome = co_await serve_until_stopped(drive, files, std::move(options));
  co_await files.close();
  co_return co_await end(drive, std::move(outcome));
}

Task<Result<>> speak(Drive& drive, StdioOptions options) {
  CO_TRY(durability, served_durability(options.durability, drive.session().node()));
  fs::Account account;
  account.read_only = options.read_only;
  auto root_options = served_root(drive, account, durability);
  CO_TRY(view, co_await drive.root(options.root, std::move(root_options)));
  const auto& io = drive.session().io();
  sftp::SessionOptions session_options;
  session_options.home = fs::join_path("/", options.home);
  session_options.read_only = view->read_only();
  session_options.caller = {::getuid(), ::getgid()};
  sftp::FdMover mover(io.executor, sftp::Pipe::Form::packets, STDIN_FILENO, STDOUT_FILENO);
  sftp::Session session(io.executor, io.pool, *view, mover.pipe(), std::move(session_options));
  co_await session.run();
  co_await cli::heard_stop();
  mover.pipe()->finish(0);
  co_await mover.flushed(Clock::now() + last_words_limit);
  co_return Result<>{};
}

Task<Result<Exit>> serve_stdio(Session& session, StdioOptions options) {
  std::signal(SIGPIPE, SIG_IGN);
  if (!options.stdio)
    co_return fail(Errc::bad_argument,
                   "speaks on standard input and output: say --stdio (for a server that listens "
                   "there is `lafs serve sftp`)");
  Drive drive(session);
  auto outcome = co_await speak(drive, std::move(options));
  co_return co_await end(drive, std::move(outcome));
}

}  // namespace

void add_sftp_commands(cli::Commands& commands) {
  auto* serving = commands.add("serve sftp", "Serve the grid's files over SFTP and scp");
  auto serve_options = std::make_shared<ServeOptions>();
  serving
      ->add_option("--addr", serve_options->addresses,
                   "Listen here (several times; default: [sftpd] port in tahoe.cfg, else "
                   "127.0.0.1:8022)")
      ->type_name("ADDRESS:PORT");
  serving
      ->add_option("--accounts", serve_options->accounts,
                   "Default: [sftpd] accounts.file in tahoe.cfg, else private/accounts")
      ->type_name("FILE");
  serving
      ->add_option("--host-keys", serve_options->host_keys,
                   "Where ssh_host_*_key are, or are made (default: private)")
      ->type_name("DIR");
  serving
      ->add_option("--grace", serve_options->grace,
                   "How long clients at work may go on when the server is told to stop (10)")
      ->type_name("SECONDS");
  serving->add_option("--max-sessions", serve_options->connections, "Connections at a time (256)")
      ->type_name("N");
  serving
      ->add_option("--max-per-address", serve_options->connections_of_address,
                   "Of one client address (64)")
      ->type_name("N");
  add_durability_option(*serving, serve_options->durability);
  commands.on_io(serving, [&commands, serve_options](cli::Io io) {
    return cli::with_session(io, commands.globals(), [&commands, serve_options](Session& session) {
      return serve_sftp(session, *serve_options, commands.globals().log_level);
    });
  });

  auto* speaking = commands.add(
      "sftp-server", "Speak SFTP on standard input and output: sftp -D, or a subsystem of sshd");
  auto stdio_options = std::make_shared<StdioOptions>();
  speaking->add_flag("--stdio", stdio_options->stdio, "Required: there is no other way yet");
  speaking->add_option("ROOT", stdio_options->root,
                       "alias:path or a cap (default: the alias tahoe:)");
  speaking->add_option("--home", stdio_options->home, "Where sessions begin, below ROOT")
      ->type_name("PATH");
  speaking->add_flag("-r,--read-only", stdio_options->read_only, "Refuse every change");
  add_durability_option(*speaking, stdio_options->durability);
  commands.on_io(speaking, [&commands, stdio_options](cli::Io io) {
    return cli::with_session(io, commands.globals(), [stdio_options](Session& session) {
      return serve_stdio(session, *stdio_options);
    });
  });
}

}  // namespace lafs
