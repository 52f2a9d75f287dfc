// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/service.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>
#include <map>

#include "frontends/ftp/session.h"
#include "grid/base/log.h"
#include "grid/base/process_metrics.h"

namespace lafs::ftp {

namespace {
using asio::ip::tcp;
constexpr auto quietly = asio::as_tuple(asio::use_awaitable);
constexpr auto look_every = std::chrono::seconds(1);
constexpr auto after_failed_accept = std::chrono::milliseconds(100);
std::size_t sessions_of_process = 0;  // of all services; I/O thread only
}  // namespace

struct Service::State {
  State(asio::any_io_executor executor, Pool& pool, fs::Login& login, OpenRoot open_root,
        std::optional<Tls> tls, Options options)
      : shared{executor, pool, login, std::move(open_root), std::move(tls), std::move(options)},
        tasks(executor),
        watch(executor) {}

  Task<> accept(tcp::acceptor& acceptor, bool implicit_tls);
  Task<> serve(Socket socket, bool implicit_tls);
  Task<> look();

  Shared shared;
  TaskGroup tasks;  // acceptors and sessions
  TaskGroup watch;
  std::list<tcp::acceptor> acceptors;
  std::list<Session> sessions;
  std::map<std::string, std::size_t> by_address;
  bool closing = false;
};

Service::Service(asio::any_io_executor executor, Pool& pool, fs::Login& login, OpenRoot open_root,
                 std::optional<Tls> tls, Options options)
    : state_(std::make_unique<State>(executor, pool, login, std::move(open_root), std::move(tls),
                                     std::move(options))) {
  state_->watch.spawn(state_->look());
  metrics::of_process().ask("lafs_ftp_sessions", "Sessions that are open.", {},
                            [] { return static_cast<double>(sessions_of_process); });
}

Service::~Service() = default;

std::size_t Service::sessions() const { return state_->sessions.size(); }
std::uint64_t Service::bytes_received() const { return state_->shared.received; }
std::uint64_t Service::bytes_sent() const { return state_->shared.sent; }

Task<Result<std::uint16_t>> Service::listen(std::string address, std::uint16_t port,
                                            bool implicit_tls) {
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) co_return fail(Errc::bad_argument, "not an IP address: " + address);
  auto& acceptor = state_->acceptors.emplace_back(state_->shared.executor);
  const tcp::endpoint at(ip, port);
  acceptor.open(at.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && ip.is_v6()) {
    // "::" takes IPv4 as well, whatever the system's default is.
    acceptor.set_option(asio::ip::v6_only(false), error);
  }
  if (!error) acceptor.bind(at, error);
  if (!error) acceptor.listen(128, error);
  if (error) {
    state_->acceptors.pop_back();
    const auto code = error == asio::error::access_denied    ? Errc::access_denied
                      : error == asio::error::address_in_use ? Errc::busy
                                                             : Errc::io;
    co_return fail(code, address + " port " + std::to_string(port) + ": " + error.message());
  }
  const auto bound = acceptor.local_endpoint().port();
  state_->tasks.spawn(state_->accept(acceptor, implicit_tls));
  co_return bound;
}

Task<> Service::close() {
  auto& s = *state_;
  s.closing = true;
  boost::system::error_code ignored;
  for (auto& acceptor : s.acceptors) acceptor.close(ignored);
  for (auto& session : s.sessions) session.end({421, "The server is shutting down."});
  co_await s.tasks.join();
  s.watch.cancel();
  co_await s.watch.join();
}

Task<> Service::State::accept(tcp::acceptor& acceptor, bool implicit_tls) {
  while (!closing) {
    auto [error, socket] = co_await acceptor.async_accept(quietly);
    if (closing || error == asio::error::operation_aborted) co_return;
    if (error) {  // out of descriptors, most likely
      log::warning("ftp: cannot accept a connection: " + error.message());
      co_await sleep_for(after_failed_accept);
      continue;
    }
    tasks.spawn(serve(std::move(socket), implicit_tls));
  }
}

Task<> Service::State::serve(Socket socket, bool implicit_tls) {
  const auto peer = peer_of(socket);
  const auto own = own_of(socket);
  if (!peer || !own) co_return;
  const auto source = fs::GuessLimiter::source(peer->text());
  auto& count = by_address[source];
  const bool full = sessions.size() >= shared.options.sessions;
  if (full || count >= shared.options.sessions_of_address) {
    if (count == 0) by_address.erase(source);
    static constexpr std::string_view many = "421 There are too many connections.\r\n";
    boost::system::error_code ignored;
    socket.native_non_blocking(true, ignored);
    socket.write_some(asio::buffer(many), ignored);
    co_return;
  }
  ++count;
  ++sessions_of_process;
  auto at = sessions.emplace(sessions.end(), shared, std::move(socket), *peer, *own, implicit_tls);
  try {
    co_await at->run();
  } catch (const std::exception& bug) {
    log::error(std::string("ftp: a session ended by a bug: ") + bug.what());
  }
  sessions.erase(at);
  --sessions_of_process;
  if (--by_address[source] == 0) by_address.erase(source);
}

Task<> Service::State::look() {
  while (!closing) {
    co_await sleep_for(look_every);
    const auto now = Clock::now();
    for (auto& session : sessions) session.look(now);
  }
}

}  // namespace lafs::ftp
