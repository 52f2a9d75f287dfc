// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/tcp_proxy.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

using namespace lafs;
using namespace lafs::cli;
using namespace std::chrono_literals;

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

// Says back what it hears, to one connection after the other.
class Echo {
 public:
  Echo() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    auto a = loopback(0);
    socklen_t size = sizeof a;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&a), size) == 0);
    REQUIRE(::listen(listener_, 16) == 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&a), &size);
    port = ntohs(a.sin_port);
    thread_ = std::thread([this] {
      for (int fd; (fd = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(fd)) {
        char buffer[65536];
        for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) {
          if (::send(fd, buffer, static_cast<std::size_t>(n), MSG_NOSIGNAL) < 0) break;
        }
      }
    });
  }
  ~Echo() {
    ::shutdown(listener_, SHUT_RDWR);
    ::close(listener_);
    thread_.join();
  }
  std::uint16_t port;

 private:
  int listener_;
  std::thread thread_;
};

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const auto a = loopback(port);
    REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0);
  }
  ~Client() { ::close(fd_); }
  void say(std::size_t bytes) {
    const std::string data(bytes, 'x');
    REQUIRE(::send(fd_, data.data(), bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes));
  }
  // What came back within `patience`; -1: the connection was reset.
  ssize_t hear(std::size_t bytes, std::chrono::milliseconds patience, std::string* into = nullptr) {
    timeval t{patience.count() / 1000, patience.count() % 1000 * 1000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    std::string data(bytes, 0);
    std::size_t got = 0;
    while (got < bytes) {
      const auto n = ::recv(fd_, data.data() + got, bytes - got, 0);
      if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return -1;
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    if (into) *into = data.substr(0, got);
    return static_cast<ssize_t>(got);
  }

 private:
  int fd_;
};

template <class F>
Duration time_of(F fn) {
  const auto begin = Clock::now();
  fn();
  return Clock::now() - begin;
}

}  // namespace

TEST_CASE("a proxy passes bytes on, and later when it is told to") {
  Echo echo;
  TcpProxy proxy(echo.port);
  Client client(proxy.port());
  client.say(100'000);
  CHECK(client.hear(100'000, 5s) == 100'000);
  CHECK(proxy.accepted() == 1);
  CHECK(proxy.to_client() == 100'000);
  proxy.set({.round_trip = 60ms});
  const auto took = time_of([&] {
    client.say(10);
    CHECK(client.hear(10, 5s) == 10);
  });
  CHECK(took >= 60ms);
  CHECK(took < 2s);
}

TEST_CASE("bandwidth is what the line has, whatever the delay") {
  Echo echo;
  TcpProxy proxy(echo.port, {.round_trip = 50ms, .bandwidth = 10'000'000});
  Client client(proxy.port());
  std::thread sender([&] { client.say(2'000'000); });
  const auto took = time_of([&] { CHECK(client.hear(2'000'000, 5s) == 2'000'000); });
  sender.join();
  CHECK(took >= 200ms);
  CHECK(took < 2s);
}

TEST_CASE("a stalled connection says nothing, and goes on where it was") {
  Echo echo;
  TcpProxy proxy(echo.port);
  Client client(proxy.port());
  client.say(10);
  CHECK(client.hear(10, 5s) == 10);
  proxy.set(0, {.stalled = true});
  client.say(10);
  CHECK(client.hear(10, 50ms) == 0);
  proxy.set(0, {});
  CHECK(client.hear(10, 5s) == 10);
}

TEST_CASE("a connection is cut at the byte that was named") {
  Echo echo;
  TcpProxy proxy(echo.port, {.cut_after = 1000});
  Client client(proxy.port());
  client.say(500);
  CHECK(client.hear(500, 5s) == 500);
  client.say(600);
  CHECK(client.hear(600, 5s) == -1);
  Client other(proxy.port());
  other.say(10);
  CHECK(other.hear(10, 5s) == 10);
  proxy.cut();
  CHECK(other.hear(1, 5s) == -1);
}

TEST_CASE("one bit flips at the byte that was named") {
  Echo echo;
  TcpProxy proxy(echo.port, {.corrupt_at = 7});
  Client client(proxy.port());
  client.say(10);
  std::string heard;
  CHECK(client.hear(10, 5s, &heard) == 10);
  CHECK(heard == "xxxxxxxyxx");
}

TEST_CASE("a slow loris gives a byte at a time") {
  Echo echo;
  TcpProxy proxy(echo.port);
  CHECK(proxy.command("drip 20") == "ok");
  Client client(proxy.port());
  const auto took = time_of([&] {
    client.say(3);
    CHECK(client.hear(3, 5s) == 3);
  });
  CHECK(took >= 40ms);
}

TEST_CASE("commands of one line do what the functions do") {
  Echo echo;
  TcpProxy proxy(echo.port);
  CHECK(proxy.command("refuse on") == "ok");
  Client refused(proxy.port());
  CHECK(refused.hear(1, 5s) == -1);
  CHECK(proxy.command("refuse off") == "ok");
  Client client(proxy.port());
  client.say(10);
  CHECK(client.hear(10, 5s) == 10);
  CHECK(proxy.command("stats") == "accepted 1 to-client 10 to-server 10");
  CHECK(proxy.command("stall on 0") == "ok");
  CHECK(proxy.command("stall on 7").starts_with("error"));
  CHECK(proxy.command("rtt").starts_with("error"));
  CHECK(proxy.command("dance 7").starts_with("error"));
  client.say(1);
  CHECK(client.hear(1, 50ms) == 0);
  CHECK(proxy.command("stall off 0") == "ok");
  CHECK(client.hear(1, 5s) == 1);
}
