// SPDX-License-Identifier: Apache-2.0
#include "grid/base/metrics.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>

#include "grid/base/log.h"
#include "grid/base/metrics_endpoint.h"
#include "grid/base/notify.h"

using namespace lafs;
using metrics::Registry;

TEST_CASE("figures are printed as Prometheus reads them") {
  Registry registry;
  registry.counter("lafs_requests_total", "Requests.", {{"kind", "a\"b"}}).add(3);
  registry.counter("lafs_requests_total", "Requests.", {{"kind", "a\"b"}}).add();
  registry.ask("lafs_free_bytes", "Free.", {}, [] { return 1099511627776.0; });
  auto& took = registry.histogram("lafs_seconds", "Time.", {0.5, 2});
  for (const double seconds : {0.25, 0.5, 1.0, 30.0}) took.observe(seconds);
  CHECK(registry.text() ==
        "# HELP lafs_free_bytes Free.\n"
        "# TYPE lafs_free_bytes gauge\n"
        "lafs_free_bytes 1099511627776\n"
        "# HELP lafs_requests_total Requests.\n"
        "# TYPE lafs_requests_total counter\n"
        "lafs_requests_total{kind=\"a\\\"b\"} 4\n"
        "# HELP lafs_seconds Time.\n"
        "# TYPE lafs_seconds histogram\n"
        "lafs_seconds_bucket{le=\"0.5\"} 2\n"
        "lafs_seconds_bucket{le=\"2\"} 3\n"
        "lafs_seconds_bucket{le=\"+Inf\"} 4\n"
        "lafs_seconds_sum 31.75\n"
        "lafs_seconds_count 4\n");
}

namespace {

Task<std::string> ask(std::uint16_t port, std::string request) {
  constexpr auto quietly = asio::as_tuple(asio::use_awaitable);
  asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
  const asio::ip::tcp::endpoint at(asio::ip::address_v4::loopback(), port);
  co_await socket.async_connect(at, quietly);
  co_await asio::async_write(socket, asio::buffer(request), quietly);
  std::string reply;
  co_await asio::async_read(socket, asio::dynamic_buffer(reply), quietly);
  co_return reply;
}

Task<> visit() {
  Registry registry;
  registry.counter("lafs_things_total", "Things.").add(7);
  metrics::Endpoint endpoint(co_await asio::this_coro::executor, registry);
  const auto port = endpoint.listen(0);
  REQUIRE(port);
  const auto figures = co_await ask(*port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(figures.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(figures.ends_with("\nlafs_things_total 7\n"));
  const auto nothing = co_await ask(*port, "GET / HTTP/1.1\r\n\r\n");
  CHECK(nothing.starts_with("HTTP/1.1 404 "));
  metrics::Endpoint second(co_await asio::this_coro::executor, registry);
  const auto taken = second.listen(*port);
  REQUIRE(!taken);
  CHECK(taken.error().code == Errc::busy);
  co_await endpoint.close();
}

}  // namespace

TEST_CASE("the metrics endpoint answers one question") { lafs::run(visit()); }

TEST_CASE("the service manager is told, if there is one") {
  ::unsetenv("NOTIFY_SOCKET");
  CHECK(!notify_service_manager("READY=1"));
  const std::string name = "@lafs-notify-test-" + std::to_string(::getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(name.begin() + 1, name.end(), address.sun_path + 1);
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  CHECK(notify_service_manager("READY=1"));
  char heard[32];
  CHECK(std::string(heard, static_cast<std::size_t>(::recv(fd, heard, sizeof heard, 0))) ==
        "READY=1");
  ::close(fd);
  CHECK(!notify_service_manager("READY=1"));  // nobody listens any more
  ::unsetenv("NOTIFY_SOCKET");
}

TEST_CASE("log lines are for people or for programs, and never hold secrets") {
  using log::Format;
  const auto line = [](Format format) {
    return log::format_line(format, "T", "info", "stored URI:CHK:key:rest",
                            {{"who", "a \"b\"\n"}, {"bytes", std::uint64_t{5}}});
  };
  CHECK(line(Format::text) == "T info stored URI:CHK:[redacted] who=a \"b\"\n bytes=5");
  CHECK(line(Format::json) == R"({"time":"T","level":"info","message":"stored URI:CHK:[redacted]",)"
                              R"("who":"a \"b\"\u000a","bytes":5})");
}
