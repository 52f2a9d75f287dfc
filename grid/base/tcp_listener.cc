// SPDX-License-Identifier: Apache-2.0
#include "grid/base/tcp_listener.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>

#include "grid/base/log.h"

namespace lafs {

namespace {
using Tcp = asio::ip::tcp;
constexpr auto quietly = asio::as_tuple(asio::use_awaitable);
// When there are no descriptors, connections are given time to end.
constexpr auto pause_after_failure = std::chrono::milliseconds(100);

boost::system::error_code bind(Tcp::acceptor& acceptor, const Tcp::endpoint& at, bool v6_only) {
  boost::system::error_code error;
  acceptor.close(error);
  acceptor.open(at.protocol(), error);
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error && at.address().is_v6()) acceptor.set_option(asio::ip::v6_only(v6_only), error);
  if (!error) acceptor.bind(at, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  return error;
}
}  // namespace

struct TcpListener::State {
  State(asio::any_io_executor e, Accepted a) : executor(e), accepted(std::move(a)), tasks(e) {}

  Task<> accept_from(Tcp::acceptor& acceptor);

  asio::any_io_executor executor;
  Accepted accepted;
  bool stopped = false;
  std::list<Tcp::acceptor> acceptors;
  TaskGroup tasks;
};

TcpListener::TcpListener(asio::any_io_executor executor, Accepted accepted)
    : state_(std::make_unique<State>(std::move(executor), std::move(accepted))) {}

TcpListener::~TcpListener() = default;

Result<std::uint16_t> TcpListener::listen(const std::string& address, std::uint16_t port) {
  State& s = *state_;
  boost::system::error_code error;
  const auto where = asio::ip::make_address(address, error);
  if (error) return fail(Errc::bad_argument, "not an IP address: " + address);
  Tcp::acceptor acceptor(s.executor);
  error = bind(acceptor, {where, port}, false);
  if (error == asio::error::address_in_use && where.is_v6()) {
    error = bind(acceptor, {where, port}, true);
  }
  if (error) {
    const auto code = error == asio::error::address_in_use  ? Errc::busy
                      : error == asio::error::access_denied ? Errc::access_denied
                                                            : Errc::io;
    return fail(
        code, "listening on " + address + " port " + std::to_string(port) + ": " + error.message());
  }
  const auto actual = acceptor.local_endpoint().port();
  s.acceptors.push_back(std::move(acceptor));
  s.tasks.spawn(s.accept_from(s.acceptors.back()));
  return actual;
}

Task<> TcpListener::State::accept_from(Tcp::acceptor& acceptor) {
  while (!stopped) {
    auto [error, socket] = co_await acceptor.async_accept(quietly);
    if (stopped) break;
    if (error) {
      log::warning("accepting a connection: " + error.message());
      co_await sleep_for(pause_after_failure);
      continue;
    }
    const int taken = socket.release(error);
    if (!error) accepted(taken);
  }
}

void TcpListener::stop() {
  State& s = *state_;
  s.stopped = true;
  boost::system::error_code ignored;
  for (auto& acceptor : s.acceptors) acceptor.close(ignored);
}

Task<> TcpListener::close() {
  stop();
  state_->tasks.cancel();
  co_await state_->tasks.join();
}

}  // namespace lafs
