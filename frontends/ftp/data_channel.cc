// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/data_channel.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "grid/crypto/random.h"

namespace lafs::ftp {

namespace {

using asio::ip::tcp;
constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

asio::ip::address asio_address(const Address& address) {
  if (!address.v6) {
    asio::ip::address_v4::bytes_type bytes;
    std::copy_n(address.bytes.begin(), bytes.size(), bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  return asio::ip::address_v6(address.bytes);
}

Task<Result<Socket>> accept_from(tcp::acceptor& acceptor, Address peer) {
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(quietly);
    if (error == asio::error::operation_aborted || !acceptor.is_open())
      co_return fail(Errc::cancelled, "data connection");
    if (error) co_return fail(Errc::unreachable, "data connection");
    const auto from = peer_of(socket);
    if (from && *from == peer) co_return std::move(socket);
  }
}

Task<Result<Socket>> connect_to(Socket socket, tcp::endpoint target) {
  auto [error] = co_await socket.async_connect(target, quietly);
  if (error) co_return fail(Errc::unreachable, "data connection");
  co_return std::move(socket);
}

}  // namespace

Result<std::unique_ptr<PassivePort>> PassivePort::open(asio::any_io_executor executor,
                                                       const Address& own, PortRange range) {
  std::unique_ptr<PassivePort> out(new PassivePort(std::move(executor)));
  auto& acceptor = out->acceptor_;
  const std::uint32_t ports = std::uint32_t{range.last} - range.first + 1;
  // Not the next one in turn: whoever could guess it might be there before the client.
  const auto random = grid::random_bytes(4);
  const auto start = get_be<std::uint32_t>(random.data()) % ports;
  for (std::uint32_t i = 0; i < ports; ++i) {
    const auto port = static_cast<std::uint16_t>(range.first + (start + i) % ports);
    const tcp::endpoint at(asio_address(own), port);
    boost::system::error_code error;
    acceptor.open(at.protocol(), error);
    if (error) return fail(Errc::io, "data port: " + error.message());
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor.bind(at, error);
    if (!error) acceptor.listen(4, error);
    if (!error) {
      out->port_ = acceptor.local_endpoint(error).port();
      return out;
    }
    acceptor.close(error);
  }
  return fail(Errc::busy, "all passive ports are in use");
}

PassivePort::~PassivePort() = default;

void PassivePort::close() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

Task<Result<Socket>> PassivePort::accept(Address peer, Duration limit) {
  auto socket = co_await within(limit, "data connection", accept_from(acceptor_, peer));
  close();
  co_return socket;
}

Task<Result<Socket>> connect_data(Address own, Endpoint target, Duration limit) {
  auto executor = co_await asio::this_coro::executor;
  Socket socket(executor);
  const tcp::endpoint to(asio_address(target.address), target.port);
  boost::system::error_code error;
  socket.open(to.protocol(), error);
  if (!error) socket.bind(tcp::endpoint(asio_address(own), 0), error);
  if (error) co_return fail(Errc::io, "data connection: " + error.message());
  co_return co_await within(limit, "data connection", connect_to(std::move(socket), to));
}

void tune_for_bulk(Socket& socket) {
  // BBR paces even loopback and halves a bulk sender's speed.
  static constexpr char cubic[] = "cubic";
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_CONGESTION, cubic, sizeof cubic - 1);
  const int on = 1;
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

}  // namespace lafs::ftp
