// SPDX-License-Identifier: Apache-2.0
#include "grid/server/http_service.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <csignal>
#include <list>

#include "grid/base/tcp_listener.h"
#include "grid/server/http_session.h"
#include "grid/storage/tls.h"

namespace lafs::grid::storage {

namespace {

using Generic = asio::generic::stream_protocol;

constexpr std::string_view foolscap_greeting = "GET /id/";
constexpr std::string_view foolscap_refusal =
    "HTTP/1.1 500 Internal Server Error: this server speaks the HTTP storage protocol only\r\n\r\n";

// Whom a connection counts for: an IPv4 address (as bytes), or the network half of an IPv6 one,
// since one host has as many addresses in that as it likes.
std::string peer_name(int fd) {
  sockaddr_in6 peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return {};
  const auto text = [](const auto& address, std::size_t length) {
    return std::string(reinterpret_cast<const char*>(&address), length);
  };
  if (peer.sin6_family == AF_INET) {
    return text(reinterpret_cast<const sockaddr_in&>(peer).sin_addr, 4);
  }
  const auto& address = peer.sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&address)) return text(address.s6_addr[12], 4);
  return text(address, 8);
}

}  // namespace

struct HttpService::State {
  State(asio::any_io_executor e, Server& s, const Identity& identity, Options o)
      : executor(e),
        options(std::move(o)),
        exchange(options.swissnum, options.max_mutable_request),
        tls(server_tls(identity)),
        figures(options.metrics ? *options.metrics : own_metrics),
        memory(e, options.body_memory),
        context{s, options, exchange, figures, memory, pieces, draining},
        tasks(e),
        watch(e),
        listener(e, [this](int fd) { accepted(fd); }) {}

  struct Connection {
    Connection(Generic::socket socket, SSL_CTX* context, std::string name)
        : peer(std::move(socket), context), from(std::move(name)) {}
    Peer peer;
    std::string from;
    std::list<Connection*>::iterator place;
    bool idle = false;
  };

  // A connection is on the list of the busy or of the idle ones for as long as it exists.
  struct Listed {
    Listed(State& s, Connection& of) : state(s), c(of) {
      c.place = state.busy.insert(state.busy.end(), &c);
      ++state.per_peer[c.from];
    }
    ~Listed() {
      (c.idle ? state.idle : state.busy).erase(c.place);
      if (--state.per_peer[c.from] == 0) state.per_peer.erase(c.from);
    }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;
    State& state;
    Connection& c;
  };

  void accepted(int fd);
  void begin(int fd, int family, SSL_CTX* with_tls, std::string from);
  bool admit(const std::string& from);
  Task<> serve(Generic::socket socket, SSL_CTX* with_tls, std::string from);
  Task<bool> greet(Connection& c);
  Task<> watch_deadlines();
  void stop_listening();
  void set_idle(Connection& c, bool idle);
  void make_room();

  asio::any_io_executor executor;
  Options options;
  HttpExchange exchange;
  TlsContext tls;
  metrics::Registry own_metrics;
  HttpFigures figures;
  Limiter memory;
  PieceBuffers pieces;
  bool draining = false;
  bool closing = false;
  SessionContext context;
  std::list<Connection*> busy;
  std::list<Connection*> idle;  // longest idle first
  std::map<std::string, std::size_t> per_peer;
  TaskGroup tasks;
  TaskGroup watch;
  TcpListener listener;
};

HttpService::HttpService(asio::any_io_executor executor, Server& server, const Identity& identity,
                         Options options)
    : state_(std::make_unique<State>(std::move(executor), server, identity, std::move(options))) {
  // OpenSSL writes to the sockets itself and does not keep the signal away.
  std::signal(SIGPIPE, SIG_IGN);
  state_->watch.spawn(state_->watch_deadlines());
}

HttpService::~HttpService() = default;

std::size_t HttpService::connections() const { return state_->busy.size() + state_->idle.size(); }
std::size_t HttpService::idle_connections() const { return state_->idle.size(); }

Task<Result<std::uint16_t>> HttpService::listen(std::string address, std::uint16_t port) {
  co_return state_->listener.listen(address, port);
}

void HttpService::set_limits(std::size_t max_connections, std::size_t max_connections_per_peer) {
  state_->options.max_connections = max_connections;
  state_->options.max_connections_per_peer = max_connections_per_peer;
}

void HttpService::serve_in_the_clear(int socket) { state_->begin(socket, AF_UNIX, nullptr, {}); }

void HttpService::State::stop_listening() {
  draining = true;
  listener.stop();
}

Task<> HttpService::drain(Duration patience) {
  State& s = *state_;
  s.stop_listening();
  for (auto* c : s.idle) c->peer.interrupt();
  const auto deadline = Clock::now() + patience;
  while (s.tasks.running() > 0 && Clock::now() < deadline) co_await s.tasks.wait_one(deadline);
}

Task<> HttpService::close() {
  State& s = *state_;
  s.closing = true;
  s.stop_listening();
  for (auto* connections : {&s.busy, &s.idle}) {
    for (auto* c : *connections) c->peer.close();
  }
  co_await s.listener.close();
  s.watch.cancel();
  s.tasks.cancel();
  co_await s.tasks.join();
  co_await s.watch.join();
}

void HttpService::State::accepted(int fd) {
  auto from = peer_name(fd);
  if (draining || !admit(from)) {
    ::close(fd);
    if (!draining) figures.turned_away();
    return;
  }
  figures.connected();
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  begin(fd, AF_INET, tls.get(), std::move(from));
}

void HttpService::State::begin(int fd, int family, SSL_CTX* with_tls, std::string from) {
  Generic::socket socket(executor);
  boost::system::error_code error;
  socket.assign(Generic(family, SOCK_STREAM), fd, error);
  if (error) {
    ::close(fd);
    return;
  }
  tasks.spawn(serve(std::move(socket), with_tls, std::move(from)));
}

bool HttpService::State::admit(const std::string& from) {
  const auto known = per_peer.find(from);
  if (known != per_peer.end() && known->second >= options.max_connections_per_peer) return false;
  if (busy.size() + idle.size() < options.max_connections) return true;
  if (idle.empty()) return false;
  make_room();
  return true;
}

void HttpService::State::make_room() {
  auto* longest = idle.front();
  set_idle(*longest, false);
  longest->peer.close();
}

void HttpService::State::set_idle(Connection& c, bool now_idle) {
  if (c.idle == now_idle) return;
  (c.idle ? idle : busy).erase(c.place);
  auto& to = now_idle ? idle : busy;
  c.place = to.insert(to.end(), &c);
  c.idle = now_idle;
}

// Deadlines are kept to within this, which is exact enough for the long and the short ones.
Task<> HttpService::State::watch_deadlines() {
  const auto pause = std::clamp<Duration>(options.progress_timeout / 10,
                                          std::chrono::milliseconds(5), std::chrono::seconds(1));
  while (!closing) {
    co_await sleep_for(pause);
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    const auto now = Clock::now();
    for (auto* connections : {&busy, &idle}) {
      for (auto* c : *connections) c->peer.check_deadline(now);
    }
  }
}

Task<> HttpService::State::serve(Generic::socket socket, SSL_CTX* with_tls, std::string from) {
  Connection c(std::move(socket), with_tls, std::move(from));
  const Listed listed(*this, c);
  bool more = true;
  if (with_tls) more = co_await greet(c);
  HttpSession session(c.peer, context);
  while (more && !draining) {
    set_idle(c, true);
    more = co_await session.wait_for_request();
    set_idle(c, false);
    if (!more || draining) break;
    more = co_await session.serve_one();
  }
  if (closing) co_return;
  c.peer.end();
  if (session.cut_short()) co_await c.peer.linger();
}

// The first bytes tell TLS from Foolscap, which we refuse as a Foolscap server would.
Task<bool> HttpService::State::greet(Connection& c) {
  c.peer.set_deadline(options.progress_timeout);
  std::array<std::uint8_t, foolscap_greeting.size()> first;
  const auto have = co_await c.peer.peek(first);
  if (!have || *have < first.size()) co_return false;
  if (as_text(first) == foolscap_greeting) {
    co_await c.peer.turn_away(foolscap_refusal);
    co_return false;
  }
  const auto secured = co_await c.peer.handshake();
  co_return secured.has_value();
}

}  // namespace lafs::grid::storage
