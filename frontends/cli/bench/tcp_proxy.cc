// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/tcp_proxy.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <future>
#include <map>
#include <sstream>
#include <thread>

#include "grid/base/bytes.h"
#include "grid/base/netstring.h"

namespace lafs::cli {

namespace {

using Tcp = asio::ip::tcp;
constexpr auto quiet = asio::as_tuple(asio::use_awaitable);

constexpr std::size_t chunk = 64 << 10;
constexpr std::size_t most_under_way = 256u << 20;
// What a slow line holds before it makes the sender wait, as a router's buffer does.
constexpr auto line_buffer = std::chrono::milliseconds(20);

// When the last byte of what a line was given will have left it.
class Pace {
 public:
  TimePoint pass(std::size_t bytes, std::uint64_t per_second, TimePoint now) {
    if (free_ < now) free_ = now;
    if (per_second > 0) {
      free_ += std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 * static_cast<double>(bytes) /
                                                                  static_cast<double>(per_second)));
    }
    return free_;
  }
  TimePoint free() const { return free_; }

 private:
  TimePoint free_{};
};

struct Piece {
  TimePoint due;
  Bytes data;
};

}  // namespace

struct TcpProxy::State {
  // One way of one connection.
  struct Way {
    explicit Way(asio::any_io_executor e, Pace& shared) : news(e), line(shared) {}
    std::deque<Piece> pieces;
    std::size_t bytes = 0;
    bool ended = false;
    Signal news;
    Pace& line;
    Pace own;
  };

  struct Connection {
    Connection(asio::any_io_executor e, Tcp::socket from, State& state)
        : client(std::move(from)), server(e), down(e, state.down), up(e, state.up), changed(e) {}
    Tcp::socket client;
    Tcp::socket server;
    Way down;  // to the client
    Way up;
    Signal changed;
    std::optional<Weather> weather;  // its own

    void reset() {
      boost::system::error_code ignored;
      for (auto* socket : {&client, &server}) {
        // Not a polite end: the peer finds its connection reset.
        socket->set_option(asio::socket_base::linger(true, 0), ignored);
        socket->close(ignored);
      }
      down.ended = up.ended = true;
      changed.notify();
      down.news.notify();
      up.news.notify();
    }
  };

  explicit State(std::uint16_t to, Weather w)
      : acceptor(io, Tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        target(asio::ip::address_v4::loopback(), to),
        weather(w),
        port(acceptor.local_endpoint().port()) {
    asio::co_spawn(io, serve(), [](std::exception_ptr) {});
    thread = std::thread([this] { io.run(); });
  }

  // Runs `fn` on the proxy's thread and waits for it.
  template <class F>
  auto call(F fn) -> decltype(fn()) {
    std::packaged_task<decltype(fn())()> task(std::move(fn));
    auto result = task.get_future();
    asio::post(io, [&task] { task(); });
    return result.get();
  }

  Weather& weather_of(Connection& c) { return c.weather ? *c.weather : weather; }

  void changed() {
    for (auto& [number, c] : connections) {
      c->changed.notify();
      c->down.news.notify();
      c->up.news.notify();
    }
  }

  Task<> serve() {
    co_await asio::this_coro::throw_if_cancelled(false);
    TaskGroup tasks(io.get_executor());
    while (!stopping) {
      auto [error, socket] = co_await acceptor.async_accept(quiet);
      if (stopping) break;
      if (error) {
        co_await sleep_for(std::chrono::milliseconds(10));
        continue;
      }
      auto c = std::make_shared<Connection>(io.get_executor(), std::move(socket), *this);
      if (refused) {
        c->reset();
        continue;
      }
      const auto number = accepted++;
      connections[number] = c;
      tasks.spawn(carry(number, c));
    }
    for (auto& [number, c] : connections) c->reset();
    co_await tasks.join();
  }

  Task<> carry(std::size_t number, std::shared_ptr<Connection> c) {
    auto [error] = co_await c->server.async_connect(target, quiet);
    if (error) {
      c->reset();
    } else {
      boost::system::error_code ignored;
      c->client.set_option(Tcp::no_delay(true), ignored);
      c->server.set_option(Tcp::no_delay(true), ignored);
      TaskGroup ways(io.get_executor());
      ways.spawn(take(*c, c->server, c->down));
      ways.spawn(give(*c, c->client, c->down, true));
      ways.spawn(take(*c, c->client, c->up));
      ways.spawn(give(*c, c->server, c->up, false));
      co_await ways.join();
    }
    connections.erase(number);
  }

  // Reads what one side sends, as fast as the line takes it.
  Task<> take(Connection& c, Tcp::socket& from, Way& way) {
    while (!way.ended) {
      const auto& w = weather_of(c);
      const auto now = Clock::now();
      auto& pace = c.weather ? way.own : way.line;
      if (w.stalled) {
        co_await c.changed.wait();
        continue;
      }
      if (way.bytes >= most_under_way) {
        co_await way.news.wait();
        continue;
      }
      if (pace.free() > now + line_buffer) {
        co_await c.changed.wait(pace.free() - line_buffer);
        continue;
      }
      Piece piece;
      piece.data.resize(chunk);
      auto [error, n] = co_await from.async_read_some(asio::buffer(piece.data), quiet);
      if (error) break;
      piece.data.resize(n);
      const auto& after = weather_of(c);  // may have changed meanwhile
      piece.due = pace.pass(n, after.bandwidth, Clock::now()) + after.round_trip / 2;
      way.bytes += n;
      way.pieces.push_back(std::move(piece));
      way.news.notify();
    }
    way.ended = true;
    way.news.notify();
  }

  Task<> give(Connection& c, Tcp::socket& to, Way& way, bool to_client) {
    while (true) {
      auto& w = weather_of(c);
      if (!to.is_open()) break;
      if (w.stalled) {
        co_await c.changed.wait();
        continue;
      }
      if (way.pieces.empty()) {
        if (way.ended) break;
        co_await way.news.wait();
        continue;
      }
      if (way.pieces.front().due > Clock::now()) {
        co_await c.changed.wait(way.pieces.front().due);
        continue;
      }
      auto piece = std::move(way.pieces.front());
      way.pieces.pop_front();
      way.bytes -= piece.data.size();
      way.news.notify();
      if (w.drip > Duration{} && piece.data.size() > 1) {
        Piece rest;
        rest.data.assign(piece.data.begin() + 1, piece.data.end());
        rest.due = Clock::now() + w.drip;
        piece.data.resize(1);
        way.bytes += rest.data.size();
        way.pieces.push_front(std::move(rest));
      }
      if (to_client && !hurt(w, piece.data)) {
        c.reset();
        break;
      }
      (to_client ? to_client_bytes : to_server_bytes) += piece.data.size();
      auto [error, n] = co_await asio::async_write(to, asio::buffer(piece.data), quiet);
      if (error) {
        c.reset();
        break;
      }
    }
    // The other side has ended in order: say so.
    boost::system::error_code ignored;
    if (to.is_open()) to.shutdown(asio::socket_base::shutdown_send, ignored);
  }

  // Faults at a byte; false: the connection is to be cut.
  static bool hurt(Weather& w, Bytes& data) {
    if (w.corrupt_at) {
      if (*w.corrupt_at < data.size()) {
        data[*w.corrupt_at] ^= 1;
        w.corrupt_at.reset();
      } else {
        *w.corrupt_at -= data.size();
      }
    }
    if (!w.cut_after) return true;
    if (*w.cut_after < data.size()) {
      w.cut_after.reset();
      return false;
    }
    *w.cut_after -= data.size();
    return true;
  }

  asio::io_context io{1};
  Tcp::acceptor acceptor;
  Tcp::endpoint target;
  Weather weather;
  std::uint16_t port;
  Pace down, up;  // of the line that connections without weather of their own share
  std::map<std::size_t, std::shared_ptr<Connection>> connections;
  bool refused = false;
  bool stopping = false;
  std::atomic<std::size_t> accepted = 0;
  std::atomic<std::uint64_t> to_client_bytes = 0;
  std::atomic<std::uint64_t> to_server_bytes = 0;
  std::thread thread;
};

TcpProxy::TcpProxy(std::uint16_t port, Weather weather)
    : state_(std::make_unique<State>(port, weather)) {}

TcpProxy::~TcpProxy() {
  asio::post(state_->io, [this] {
    state_->stopping = true;
    state_->acceptor.close();
  });
  state_->thread.join();
}

std::uint16_t TcpProxy::port() const { return state_->port; }

void TcpProxy::set(Weather weather) {
  state_->call([&] {
    state_->weather = weather;
    state_->changed();
  });
}

void TcpProxy::set(std::size_t connection, Weather weather) {
  state_->call([&] {
    auto it = state_->connections.find(connection);
    if (it != state_->connections.end()) it->second->weather = weather;
    state_->changed();
  });
}

void TcpProxy::cut() {
  state_->call([&] {
    for (auto& [number, c] : state_->connections) c->reset();
  });
}

void TcpProxy::refuse(bool refused) {
  state_->call([&] { state_->refused = refused; });
}

std::size_t TcpProxy::accepted() const { return state_->accepted; }
std::uint64_t TcpProxy::to_client() const { return state_->to_client_bytes; }
std::uint64_t TcpProxy::to_server() const { return state_->to_server_bytes; }

std::string TcpProxy::command(const std::string& line) {
  std::istringstream in(line);
  std::string word, value;
  in >> word >> value;
  if (word == "cut") return cut(), "ok";
  if (word == "refuse") return refuse(value != "off"), "ok";
  if (word == "clear") return set(Weather{}), "ok";
  if (word == "stats") {
    return fmt::format("accepted {} to-client {} to-server {}", accepted(), to_client(),
                       to_server());
  }
  std::uint64_t number = 0;
  if (word != "stall") {
    const auto parsed = parse_decimal(value);
    if (!parsed) return "error a number is missing: " + line;
    number = *parsed;
  }
  std::optional<std::size_t> connection;
  std::size_t given = 0;
  if (in >> given) connection = given;
  return state_->call([&]() -> std::string {
    auto* w = &state_->weather;
    if (connection) {
      auto it = state_->connections.find(*connection);
      if (it == state_->connections.end()) return "error no such connection: " + line;
      if (!it->second->weather) it->second->weather = state_->weather;
      w = &*it->second->weather;
    }
    if (word == "rtt") {
      w->round_trip = std::chrono::milliseconds(number);
    } else if (word == "bandwidth") {
      w->bandwidth = number;
    } else if (word == "stall") {
      w->stalled = value != "off";
    } else if (word == "drip") {
      w->drip = std::chrono::milliseconds(number);
    } else if (word == "cut-after") {
      w->cut_after = number;
    } else if (word == "corrupt-at") {
      w->corrupt_at = number;
    } else {
      return "error no such command: " + line;
    }
    state_->changed();
    return "ok";
  });
}

}  // namespace lafs::cli
