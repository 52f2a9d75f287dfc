// SPDX-License-Identifier: Apache-2.0
// serve_memfs [--slow] [--read-only] [--capacity BYTES] [--home DIR]: speaks SFTP on standard input
// and output over a MemFs until the client goes away. Exit codes: 0 everything was given back, 1
// something is still held.
//
// --ssh DIR: serves SSH on a free port instead, until SIGTERM, with host keys and the file
// "accounts" in DIR; prints "listening HOST:PORT". --grace SECONDS: for clients that are at work
// then. --sessions N: from one address, too. --rekey-bytes N.
//
// --slow: operations suspend for a random moment first, so that they overtake each other.
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "frontends/fs/mem_fs.h"
#include "frontends/sftp/fd_mover.h"
#include "frontends/sftp/server.h"
#include "frontends/sftp/session.h"
#include "grid/base/log.h"

using namespace lafs;

namespace {

Task<> random_pause() {
  static std::mt19937 random(42);
  co_await sleep_for(std::chrono::microseconds(random() % 400));
}

Task<> serve(asio::any_io_executor executor, Pool& pool, fs::Filesystem& files,
             sftp::SessionOptions options) {
  sftp::FdMover mover(executor, sftp::Pipe::Form::packets, STDIN_FILENO, STDOUT_FILENO);
  sftp::Session session(executor, pool, files, mover.pipe(), options);
  co_await session.run();
  mover.pipe()->finish(0);
  co_await mover.flushed(Clock::now() + std::chrono::seconds(5));
}

Task<Result<std::shared_ptr<fs::Filesystem>>> same_for_all(std::shared_ptr<fs::Filesystem> files) {
  co_return files;
}

Task<> serve_ssh(asio::any_io_executor executor, Pool& pool, std::shared_ptr<fs::MemFs> files,
                 std::string directory, sftp::ServerOptions options, int grace, int& status) {
  asio::signal_set signals(executor, SIGTERM, SIGINT);
  const std::filesystem::path place(directory);
  auto login = fs::Login::open(executor, pool, place / "accounts", {});
  auto keys = sftp::prepare_host_keys(place, std::nullopt);
  if (!login || !keys) {
    std::fprintf(stderr, "%s\n", (login ? keys.error() : login.error()).message().c_str());
    co_return;
  }
  options.addresses = {"127.0.0.1:0"};
  options.host_keys = std::move(*keys);
  auto open_root = [&](const fs::Account&) { return same_for_all(files); };
  sftp::Server server(executor, pool, **login, open_root, std::move(options));
  auto started = server.start();
  if (!started) {
    std::fprintf(stderr, "%s\n", started.error().message().c_str());
    co_return;
  }
  std::printf("listening %s\n", server.addresses().front().c_str());
  std::fflush(stdout);
  co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
  co_await server.stop(std::chrono::seconds(grace));
  status = 0;
}

}  // namespace

int main(int argc, char** argv) {
  fs::MemFs::Options options;
  sftp::SessionOptions session_options{.account = "alice"};
  std::string ssh;
  sftp::ServerOptions server_options;
  int grace = 5, status = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--slow") {
      options.pause = random_pause;
    } else if (word == "--read-only") {
      options.read_only = true;
    } else if (word == "--capacity" && i + 1 < argc) {
      options.capacity = std::strtoull(argv[++i], nullptr, 10);
    } else if (word == "--home" && i + 1 < argc) {
      session_options.home = argv[++i];
    } else if (word == "--ssh" && i + 1 < argc) {
      ssh = argv[++i];
    } else if (word == "--grace" && i + 1 < argc) {
      grace = std::atoi(argv[++i]);
    } else if (word == "--sessions" && i + 1 < argc) {
      server_options.connections = server_options.connections_of_one_address =
          server_options.strangers = std::strtoul(argv[++i], nullptr, 10);
    } else if (word == "--rekey-bytes" && i + 1 < argc) {
      server_options.rekey_bytes = std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::fprintf(stderr, "usage: see %s\n", __FILE__);
      return 2;
    }
  }
  std::signal(SIGPIPE, SIG_IGN);
  log::set_level(log::Level::info);
  asio::io_context io;
  Pool pool(1);
  auto shared = std::make_shared<fs::MemFs>(std::move(options));
  auto& files = *shared;
  TaskGroup group(io.get_executor());
  if (ssh.empty()) {
    group.spawn(serve(io.get_executor(), pool, files, session_options));
  } else {
    status = 2;
    group.spawn(
        serve_ssh(io.get_executor(), pool, shared, ssh, std::move(server_options), grace, status));
  }
  io.run();
  if (status != 0) return status;
  if (files.references() == 0 && files.handles() == 0) return 0;
  std::fprintf(stderr, "still held: %llu references, %zu handles\n",
               static_cast<unsigned long long>(files.references()), files.handles());
  return 1;
}
