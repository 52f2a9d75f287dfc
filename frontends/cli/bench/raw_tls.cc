// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/raw_tls.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

#include "grid/base/bytes.h"
#include "grid/storage/tls.h"

namespace lafs::cli {

namespace {

constexpr std::size_t piece = 64 << 10;
constexpr std::uint64_t sends = std::uint64_t{1} << 63;

std::unexpected<Error> failed(const char* what) {
  return fail(Errc::io, std::string(what) + ": " + std::strerror(errno));
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

void no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto at = loopback(port);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) {
    no_delay(fd);
    return fd;
  }
  if (fd >= 0) ::close(fd);
  return -1;
}

bool move(SSL* ssl, std::uint64_t bytes, bool out) {
  std::vector<std::uint8_t> buffer(piece);
  while (bytes > 0) {
    const auto most = static_cast<int>(std::min<std::uint64_t>(bytes, buffer.size()));
    const int n = out ? SSL_write(ssl, buffer.data(), most) : SSL_read(ssl, buffer.data(), most);
    if (n <= 0) return false;
    bytes -= static_cast<std::uint64_t>(n);
  }
  return true;
}

void serve_one(SSL* ssl) {
  std::uint8_t head[8];
  while (SSL_read(ssl, head, sizeof head) == static_cast<int>(sizeof head)) {
    const auto order = get_be<std::uint64_t>(head);
    if (!move(ssl, order & ~sends, (order & sends) != 0)) return;
    if (!(order & sends) && SSL_write(ssl, head, 1) != 1) return;
  }
}

Result<double> run(std::uint16_t port, const std::string& pin, std::uint64_t order) {
  const int fd = connect_to(port);
  if (fd < 0) return failed("connecting");
  grid::storage::ClientTls tls(pin);
  SSL* ssl = SSL_new(tls.context());
  SSL_set_fd(ssl, fd);
  bool good = SSL_connect(ssl) == 1;
  const auto begin = std::chrono::steady_clock::now();
  std::uint8_t head[8];
  put_be<std::uint64_t>(head, order);
  const bool receives = (order & sends) != 0;
  good = good && SSL_write(ssl, head, sizeof head) == static_cast<int>(sizeof head) &&
         move(ssl, order & ~sends, !receives) && (receives || SSL_read(ssl, head, 1) == 1);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  SSL_free(ssl);
  ::close(fd);
  if (!good) return fail(Errc::io, "the raw TLS connection broke");
  return static_cast<double>(order & ~sends) / took.count();
}

}  // namespace

Result<std::pair<int, std::uint16_t>> raw_listen() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto at = loopback(0);
  socklen_t size = sizeof at;
  if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&at), size) != 0 ||
      ::listen(fd, 16) != 0 || ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    return failed("listening");
  }
  return std::pair{fd, ntohs(at.sin_port)};
}

void raw_serve(int listener, const grid::storage::Identity& identity) {
  const auto tls = grid::storage::server_tls(identity);
  while (true) {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) return;
    no_delay(fd);
    SSL* ssl = SSL_new(tls.get());
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) serve_one(ssl);
    SSL_free(ssl);
    ::close(fd);
  }
}

Result<double> raw_send(std::uint16_t port, const std::string& pin, std::uint64_t bytes) {
  return run(port, pin, bytes);
}
Result<double> raw_receive(std::uint16_t port, const std::string& pin, std::uint64_t bytes) {
  return run(port, pin, bytes | sends);
}

// The client's half of TLS goes away after the handshake: only the server has to remember it.
IdleConnections::IdleConnections(std::uint16_t port, const std::string& pin, std::size_t count) {
  grid::storage::ClientTls tls(pin);
  for (std::size_t i = 0; i < count; ++i) {
    const int fd = connect_to(port);
    if (fd < 0) break;
    SSL* ssl = SSL_new(tls.context());
    SSL_set_fd(ssl, fd);
    const bool good = SSL_connect(ssl) == 1;
    SSL_set_quiet_shutdown(ssl, 1);
    SSL_free(ssl);
    if (!good) {
      ::close(fd);
      break;
    }
    sockets_.push_back(fd);
  }
}

IdleConnections::~IdleConnections() {
  for (const int fd : sockets_) ::close(fd);
}

}  // namespace lafs::cli
