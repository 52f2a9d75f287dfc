// SPDX-License-Identifier: Apache-2.0
#include "grid/base/metrics_endpoint.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace lafs::metrics {

namespace {
using Tcp = asio::ip::tcp;
constexpr auto quietly = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t largest_request = 8 << 10;
constexpr std::size_t most_visitors = 16;
constexpr auto visit_time = std::chrono::seconds(5);
}  // namespace

struct Endpoint::State {
  State(asio::any_io_executor e, const Registry& r)
      : registry(r), acceptor(e), acceptors(e), visitors(e) {}

  Task<> accept();
  Task<> visit(Tcp::socket socket);
  Task<Result<>> answer(Tcp::socket& socket);

  const Registry& registry;
  Tcp::acceptor acceptor;
  TaskGroup acceptors;
  TaskGroup visitors;
};

Endpoint::Endpoint(asio::any_io_executor executor, const Registry& registry)
    : state_(std::make_unique<State>(std::move(executor), registry)) {}
Endpoint::~Endpoint() = default;

Result<std::uint16_t> Endpoint::listen(std::uint16_t port) {
  auto& acceptor = state_->acceptor;
  boost::system::error_code error;
  const Tcp::endpoint at(asio::ip::address_v4::loopback(), port);
  acceptor.open(at.protocol(), error);
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(at, error);
  if (!error) acceptor.listen(static_cast<int>(most_visitors), error);
  if (error) {
    const auto code = error == asio::error::address_in_use  ? Errc::busy
                      : error == asio::error::access_denied ? Errc::access_denied
                                                            : Errc::io;
    return fail(code,
                fmt::format("offering metrics on 127.0.0.1 port {}: {}", port, error.message()));
  }
  state_->acceptors.spawn(state_->accept());
  return acceptor.local_endpoint().port();
}

Task<> Endpoint::close() {
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
  state_->acceptors.cancel();
  state_->visitors.cancel();
  co_await state_->acceptors.join();
  co_await state_->visitors.join();
}

Task<> Endpoint::State::accept() {
  while (acceptor.is_open()) {
    auto [error, socket] = co_await acceptor.async_accept(quietly);
    if (!acceptor.is_open()) break;
    if (error) {
      co_await sleep_for(std::chrono::milliseconds(100));
    } else if (visitors.running() < most_visitors) {
      visitors.spawn(visit(std::move(socket)));
    }
  }
}

Task<> Endpoint::State::visit(Tcp::socket socket) {
  (void)co_await within(visit_time, "a visit of the metrics", answer(socket));
}

Task<Result<>> Endpoint::State::answer(Tcp::socket& socket) {
  std::string request;
  while (request.find("\r\n\r\n") == request.npos && request.size() < largest_request) {
    char buffer[1024];
    auto [error, n] = co_await socket.async_read_some(asio::buffer(buffer), quietly);
    if (error) co_return fail(Errc::unreachable, error.message());
    request.append(buffer, n);
  }
  const bool known = request.starts_with("GET /metrics ") || request.starts_with("GET /metrics?");
  const std::string body = known ? registry.text() : "The figures are at /metrics.\n";
  const std::string reply = fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
      "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
      known ? "200 OK" : "404 Not Found", body.size(), body);
  co_await asio::async_write(socket, asio::buffer(reply), quietly);
  co_return Result<>{};
}

}  // namespace lafs::metrics
