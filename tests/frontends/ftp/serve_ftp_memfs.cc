// SPDX-License-Identifier: Apache-2.0
// serve_ftp_memfs [OPTION...]: an FTP server over a MemFs on 127.0.0.1, for clients in tests.
// Prints "port N" and, with --tls FILE, "implicit N"; ends on SIGTERM or SIGINT. Accounts: alice
// (password secret), bob (hunter2, read-only); they see the same files. Exit codes: 0 when
// everything was given back, 1 when not, 2 usage.
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <cstdlib>

#include "frontends/fs/mem_fs.h"
#include "frontends/fs/view.h"
#include "frontends/ftp/service.h"
#include "grid/base/log.h"
#include "grid/crypto/password.h"

using namespace lafs;

namespace {

constexpr const char* usage =
    "usage: serve_ftp_memfs [--tls FILE] [--plain] [--require-resumed] [--require-close-notify]\n"
    "         [--anonymous] [--slow MICROSECONDS] [--capacity BYTES] [--data-limit MS]\n"
    "         [--login-limit MS] [--idle SECONDS] [--passive FIRST-LAST] [--external ADDRESS]\n"
    "         [--sessions N] [--per-address N] [--address IP]\n";

struct Words {
  std::string tls;
  std::string address = "127.0.0.1";
  ftp::Options options;
  fs::MemFs::Options files;
};

struct Roots {
  std::shared_ptr<fs::MemFs> files;

  Task<Result<std::shared_ptr<fs::Filesystem>>> open(fs::Account account) {
    fs::View::Options options;
    options.read_only = account.read_only;
    co_return std::make_shared<fs::View>(files, options);
  }
};

fs::Accounts accounts() {
  fs::Accounts out;
  fs::Account alice;
  alice.name = "alice";
  alice.root = "tahoe:";
  alice.password = grid::hash_password("secret", grid::PasswordCost::least);
  (void)out.add(alice);
  auto bob = alice;
  bob.name = "bob";
  bob.password = grid::hash_password("hunter2", grid::PasswordCost::least);
  bob.read_only = true;
  (void)out.add(bob);
  return out;
}

Task<> stop(ftp::Service& service, asio::signal_set& signals) {
  co_await service.close();
  signals.cancel();
}

Task<> start(ftp::Service& service, const Words& words, bool& failed) {
  auto port = co_await service.listen(words.address, 0, false);
  failed = !port;
  if (failed) co_return;
  std::printf("port %u\n", *port);
  if (!words.tls.empty()) {
    auto implicit = co_await service.listen(words.address, 0, true);
    if (implicit) std::printf("implicit %u\n", *implicit);
  }
  std::fflush(stdout);
}

int serve(Words words) {
  asio::io_context io;
  Pool pool(1);
  auto memory = std::make_shared<fs::MemFs>(words.files);
  fs::Login::Options login_options;
  fs::Login login(io.get_executor(), pool, accounts(), login_options);
  std::optional<ftp::Tls> tls;
  if (!words.tls.empty()) {
    auto made = ftp::Tls::load_or_create(words.tls, "localhost");
    if (!made) {
      std::fprintf(stderr, "%s\n", made.error().message().c_str());
      return 2;
    }
    tls.emplace(std::move(*made));
  }
  Roots roots{memory};
  {
    ftp::Service service(
        io.get_executor(), pool, login,
        [&roots](fs::Account account) { return roots.open(std::move(account)); }, std::move(tls),
        words.options);
    asio::signal_set signals(io, SIGTERM, SIGINT);
    TaskGroup tasks(io.get_executor());
    bool failed = false;
    signals.async_wait([&](boost::system::error_code error, int) {
      if (!error) tasks.spawn(stop(service, signals));
    });
    tasks.spawn(start(service, words, failed));
    io.run();
    if (failed) return 2;
  }
  const bool clean = memory->references() == 0 && memory->handles() == 0;
  if (!clean)
    std::fprintf(stderr, "still held: %llu references, %zu handles\n",
                 static_cast<unsigned long long>(memory->references()), memory->handles());
  return clean ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  log::set_level(log::Level::error);
  Words words;
  auto& options = words.options;
  const auto milliseconds = [](const char* text) {
    return std::chrono::milliseconds(std::atoi(text));
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : "";
    bool took = true;
    if (word == "--tls")
      words.tls = next;
    else if (word == "--address")
      words.address = next;
    else if (word == "--capacity")
      words.files.capacity = std::strtoull(next, nullptr, 10);
    else if (word == "--data-limit")
      options.data_limit = options.connect_limit = milliseconds(next);
    else if (word == "--login-limit")
      options.login_limit = milliseconds(next);
    else if (word == "--idle")
      options.idle_limit = static_cast<std::uint32_t>(std::atoi(next));
    else if (word == "--external")
      options.external = ftp::Address::parse(next);
    else if (word == "--sessions")
      options.sessions = std::strtoul(next, nullptr, 10);
    else if (word == "--per-address")
      options.sessions_of_address = std::strtoul(next, nullptr, 10);
    else if (word == "--slow") {
      const auto pause = std::chrono::microseconds(std::atoi(next));
      words.files.pause = [pause] { return sleep_for(pause); };
    } else if (word == "--passive") {
      unsigned first = 0, last = 0;
      if (std::sscanf(next, "%u-%u", &first, &last) != 2) return std::fputs(usage, stderr), 2;
      options.passive_ports = {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)};
    } else {
      took = false;
      if (word == "--plain")
        options.plain = true;
      else if (word == "--require-resumed")
        options.require_resumed = true;
      else if (word == "--require-close-notify")
        options.require_close_notify = true;
      else if (word == "--anonymous") {
        options.anonymous.emplace();
        options.anonymous->name = "anonymous";
        options.anonymous->read_only = true;
      } else
        return std::fputs(usage, stderr), 2;
    }
    if (took) ++i;
  }
  return serve(std::move(words));
}
