// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp_command.h"

#include <CLI/CLI.hpp>
#include <csignal>

#include "frontends/cli/output.h"
#include "frontends/files_daemon.h"
#include "frontends/ftp_server.h"
#include "frontends/served_root.h"
#include "grid/base/log.h"

namespace lafs {

namespace {

using cli::Commands;
using cli::Exit;
using cli::Io;
using cli::Session;

Task<Result<>> serve_until_stopped(Drive& drive, FilesDaemon& files, FtpSettings asked) {
  CO_TRY_DO(files.begin());
  CO_TRY(settings, ftp_settings(std::move(asked), drive.session().node()));
  const auto& io = drive.session().io();
  const fs::Login::Options login_options;
  CO_TRY(login, fs::Login::open(io.executor, io.pool, settings.accounts, login_options));
  CO_TRY(server, co_await FtpServer::start(drive, std::move(settings), login.get()));
  cli::print(server->listeners());
  if (auto printed = cli::finish_output(); !printed) log::info("nobody reads standard output");
  files.follow(*login);
  files.ready("ftp", server->addresses());
  co_await cli::wait_for_stop();
  files.process().stopping();
  co_await files.close();
  co_await server->close();
  co_return Result<>{};
}

Task<Result<Exit>> serve_ftp(Session& session, FtpSettings settings, std::string log_level) {
  Drive drive(session);
  FilesDaemon files(drive, log_level);
  auto outcome = co_await serve_until_stopped(drive, files, std::move(settings));
  co_await files.close();
  auto closed = co_await drive.close();
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  if (!closed) co_return annotate(std::move(closed.error()), "not everything reached the grid");
  co_return Exit::ok;
}

}  // namespace

void add_ftp_command(Commands& commands) {
  auto* command = commands.add("serve ftp", "Serve directories of the grid over FTP and FTPS");
  auto settings = std::make_shared<FtpSettings>();
  command
      ->add_option("--addr", settings->addresses, "Listen here; AUTH TLS (default 127.0.0.1:8021)")
      ->type_name("HOST:PORT");
  command->add_option("--implicit-addr", settings->implicit_addresses, "Listen here; TLS at once")
      ->type_name("HOST:PORT");
  command
      ->add_option("--accounts", settings->accounts,
                   "Default: private/accounts in the node directory")
      ->type_name("FILE");
  command
      ->add_option("--certificate", settings->certificate,
                   "PEM; default: private/ftp.pem, made when missing")
      ->type_name("FILE");
  command->add_option("--key", settings->key, "PEM; default: in the certificate's file")
      ->type_name("FILE");
  command->add_flag("--no-tls", settings->no_tls, "Plain FTP only");
  command->add_flag("--allow-plain", settings->allow_plain,
                    "Also from other machines: passwords and files in the clear");
  command->add_flag("--require-resumed", settings->require_resumed,
                    "Data connections must resume the control connection's TLS session");
  command->add_flag("--require-close-notify", settings->require_close_notify,
                    "An upload over TLS that ends without close_notify is incomplete");
  command->add_option("--passive-ports", settings->passive_ports, "Of data connections")
      ->type_name("FIRST-LAST");
  command
      ->add_option("--external-address", settings->external_address,
                   "What PASV tells clients from outside (behind NAT)")
      ->type_name("IPV4");
  command->add_flag("--no-active", settings->no_active, "Refuse PORT and EPRT");
  command
      ->add_option("--anonymous", settings->anonymous,
                   "Let anybody read this alias:path or cap as user anonymous")
      ->type_name("PLACE");
  command->add_flag("-r,--read-only", settings->read_only, "Refuse every change");
  add_durability_option(*command, settings->durability);
  command->add_option("--max-sessions", settings->sessions, "At a time (1000)");
  command->add_option("--max-per-address", settings->sessions_of_address, "Of one client address")
      ->capture_default_str();
  command->add_option("--idle-limit", settings->idle_limit, "Seconds between commands (300)")
      ->check(CLI::Range(10, 7200));
  commands.on_io(command, [&commands, settings](Io io) {
    std::signal(SIGPIPE, SIG_IGN);
    return cli::with_session(io, commands.globals(), [&commands, settings](Session& session) {
      return serve_ftp(session, *settings, commands.globals().log_level);
    });
  });
}

}  // namespace lafs
