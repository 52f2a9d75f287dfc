// SPDX-License-Identifier: Apache-2.0
#include "grid/server/http_service.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <catch2/catch.hpp>
#include <list>

#include "grid/storage/http_stream.h"
#include "grid/storage/tls.h"
#include "tests/fake/server_conformance.h"
#include "tests/grid/server/http_fixture.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;
using namespace lafs::grid::fake::conformance;
using namespace lafs::test;
using Tcp = asio::ip::tcp;

namespace {

template <class Body>
auto on_client(Body& body) {
  return [&body](RemoteServer& client, HttpService&, std::uint16_t) { return body(client); };
}

// Everything the peer says to `text`, over TLS or plainly, until it closes.
Task<std::string> ask_plainly(std::uint16_t port, std::string text) {
  beast::tcp_stream tcp(co_await asio::this_coro::executor);
  tcp.expires_after(std::chrono::seconds(10));
  const Tcp::endpoint where(asio::ip::make_address("127.0.0.1"), port);
  auto [refused] = co_await tcp.async_connect(where, quietly);
  if (refused) co_return "refused";
  co_await asio::async_write(tcp, asio::buffer(text), quietly);
  std::string out;
  while (true) {
    char piece[4096];
    auto [error, n] = co_await tcp.async_read_some(asio::buffer(piece), quietly);
    out.append(piece, n);
    if (error) co_return out;
  }
}

Task<std::string> ask(std::uint16_t port, std::string text) {
  ClientTls tls(test_identity().pin());
  TlsStream stream(beast::tcp_stream(co_await asio::this_coro::executor), SSL_new(tls.context()));
  tcp_of(stream).expires_after(std::chrono::seconds(10));
  const Tcp::endpoint where(asio::ip::make_address("127.0.0.1"), port);
  auto [refused] = co_await tcp_of(stream).async_connect(where, quietly);
  if (refused) co_return "refused";
  auto [failed] = co_await stream.async_handshake(asio::ssl::stream_base::client, quietly);
  if (failed) co_return "no handshake";
  co_await asio::async_write(stream, asio::buffer(text), quietly);
  std::string out;
  while (true) {
    char piece[4096];
    auto [error, n] = co_await stream.async_read_some(asio::buffer(piece), quietly);
    out.append(piece, n);
    if (error) co_return out;
  }
}

const std::string authorization = "Authorization: Tahoe-LAFS c3dpc3NudW0=\r\n";  // "swissnum"

}  // namespace

TEST_CASE("a server across the network does what every storage server does") {
  for (const auto& c : fake::server_conformance()) {
    INFO(c.name);
    HttpFixture fixture;
    auto body = on_client(c.run);
    fixture.with_service(body);
  }
}

namespace {

Task<> read_long(RemoteServer& client) {
  const auto si = fresh_index();
  const auto data = pattern((9 << 20) + 17);
  const bool stored = co_await store(client, si, ShareNo{0}, data);
  REQUIRE(stored);
  auto all = co_await client.read(ShareKind::immutable, si, ShareNo{0}, 0, 1ull << 40);
  REQUIRE(all);
  CHECK((*all == data));
  auto some = co_await client.read(ShareKind::immutable, si, ShareNo{0}, 5, 6 << 20);
  REQUIRE(some);
  CHECK(equal(*some, ByteView(data).subspan(5, 6 << 20)));
  auto behind = co_await client.read(ShareKind::immutable, si, ShareNo{0}, 10 << 20, 1ull << 40);
  REQUIRE(behind);
  CHECK(behind->empty());
  auto unknown = co_await client.read(ShareKind::immutable, si, ShareNo{1}, 0, 1ull << 40);
  CHECK(code(unknown) == Errc::not_found);
}

Task<> read_whole_by_hand(RemoteServer& client, HttpService&, std::uint16_t port) {
  const auto si = fresh_index();
  const auto data = pattern((6 << 20) + 17);
  const bool stored = co_await store(client, si, ShareNo{0}, data);
  REQUIRE(stored);
  const auto reply =
      co_await ask(port, "GET /storage/v1/immutable/" + si.text() +
                             "/0 HTTP/1.1\r\nConnection: close\r\n" + authorization + "\r\n");
  REQUIRE(reply.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(reply.find("Transfer-Encoding: chunked") < 100);
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  parser.eager(true);
  beast::error_code error;
  parser.put(asio::buffer(reply), error);
  CHECK_FALSE(error);
  REQUIRE(parser.is_done());
  CHECK((to_bytes(parser.get().body()) == data));
}

}  // namespace

TEST_CASE("long reads are streamed and cut at the share's end") {
  HttpFixture fixture;
  fixture.with_service(on_client(read_long));
  fixture.with_service(read_whole_by_hand);
}

namespace {

Task<> greet_as_foolscap(RemoteServer&, HttpService&, std::uint16_t port) {
  const auto reply = co_await ask_plainly(
      port, "GET /id/zfzcmaxtmoneuedkxnq5am4c2a6hkjcl HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  CHECK(reply.starts_with("HTTP/1.1 500 Internal Server Error: "));
  CHECK(reply.ends_with("\r\n\r\n"));
  const auto nothing = co_await ask_plainly(port, "GET / HTTP/1.1\r\n\r\n");
  CHECK(nothing.find("HTTP/1.1 200") == std::string::npos);
}

Task<> send_nonsense(RemoteServer& client, HttpService&, std::uint16_t port) {
  auto reply = co_await ask(port, "NONSENSE\r\n\r\n");
  CHECK(reply.starts_with("HTTP/1.1 400"));
  reply = co_await ask(port, "GET / HTTP/1.1\r\nX: " + std::string(20000, 'x') + "\r\n\r\n");
  CHECK(reply.starts_with("HTTP/1.1 431"));
  reply = co_await ask(port, "GET /storage/v1/version HTTP/1.1\r\nContent-Length: zz\r\n\r\n");
  CHECK(reply.starts_with("HTTP/1.1 400"));
  // Two requests in one go are answered one after the other.
  const std::string get = "GET /storage/v1/version HTTP/1.1\r\n" + authorization;
  reply = co_await ask(port, get + "\r\n" + get + "Connection: close\r\n\r\n");
  CHECK(reply.find("HTTP/1.1 200 OK", 10) != std::string::npos);
  auto version = co_await client.version();
  CHECK(version);
}

// A body in chunks, announced with Expect, and one that is too long.
Task<> send_unusual_bodies(RemoteServer& client, HttpService&, std::uint16_t port) {
  const auto si = fresh_index();
  const bool stored = co_await store(client, si, ShareNo{0}, pattern(10));
  REQUIRE(stored);
  const auto path = "POST /storage/v1/immutable/" + si.text() + "/0/corrupt HTTP/1.1\r\n" +
                    authorization + "Connection: close\r\n";
  auto reply = co_await ask(port, path +
                                      "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "5\r\n\xa1\x66rea\r\n8\r\nson\x63"
                                      "bad\x00"
                                      "\r\n0\r\n\r\n");
  CHECK(reply.starts_with("HTTP/1.1 100 Continue\r\n\r\n"));
  reply = co_await ask(port, path + "Transfer-Encoding: chunked\r\n\r\n9000\r\n" +
                                 std::string(0x9000, 'x') + "\r\n0\r\n\r\n");
  CHECK(reply.starts_with("HTTP/1.1 413"));
  reply = co_await ask(port, path + "Content-Length: 99999999999\r\n\r\n");
  CHECK(reply.starts_with("HTTP/1.1 413"));
}

}  // namespace

TEST_CASE("a Foolscap client is told that this is not its protocol") {
  HttpFixture fixture;
  fixture.with_service(greet_as_foolscap);
}

TEST_CASE("what is not HTTP is refused and harms nobody else") {
  HttpFixture fixture;
  fixture.with_service(send_nonsense);
}

TEST_CASE("bodies in chunks, announced bodies and bodies without measure") {
  HttpFixture fixture;
  fixture.with_service(send_unusual_bodies);
}

namespace {

Task<> ask_with_another_swissnum(RemoteServer&, HttpService&, std::uint16_t port) {
  RemoteServer stranger(co_await asio::this_coro::executor, loopback_nurl(port, "guess"));
  auto version = co_await stranger.version();
  CHECK(code(version) == Errc::unauthorized);
  CHECK(version.error().context.find("guess") == std::string::npos);
  co_await stranger.close();
}

Task<> expect_another_key(RemoteServer&, HttpService&, std::uint16_t port) {
  auto nurl = loopback_nurl(port);
  nurl.pin = Identity::generate().pin();
  RemoteServer client(co_await asio::this_coro::executor, nurl);
  auto version = co_await client.version();
  CHECK(code(version) == Errc::wrong_certificate);
  co_await client.close();
}

Task<> ask_many_at_once(RemoteServer& client, int& good) {
  auto version = co_await client.version();
  good += version.has_value();
}

Task<> share_connections(RemoteServer& client, HttpService& service, std::uint16_t) {
  TaskGroup group(co_await asio::this_coro::executor);
  int good = 0;
  for (int i = 0; i < 50; ++i) group.spawn(ask_many_at_once(client, good));
  co_await group.join();
  CHECK(good == 50);
  CHECK(client.open_connections() <= 3);
  CHECK(service.connections() <= 3);
}

// Connections that do nothing must not keep new ones out.
Task<> crowd(RemoteServer& client, HttpService& service, std::uint16_t port) {
  auto version = co_await client.version();
  CHECK(version);
  auto executor = co_await asio::this_coro::executor;
  std::list<RemoteServer> others;
  for (int i = 0; i < 6; ++i) {
    auto& other = others.emplace_back(executor, loopback_nurl(port));
    auto reply = co_await other.version();
    CHECK(reply);
    CHECK(service.connections() <= 4);
  }
  // Its kept connection is gone by now; it makes a new one without anybody noticing.
  version = co_await client.version();
  CHECK(version);
  for (auto& other : others) co_await other.close();
}

Task<> stay_silent(RemoteServer&, HttpService& service, std::uint16_t port) {
  const auto reply = co_await ask_plainly(port, "abc");
  CHECK(reply.empty());
  auto late = co_await ask(port, "GET /storage/v1/version HTT");
  CHECK(late.empty());
  // A body that stops half-way.
  late = co_await ask(
      port, "POST /storage/v1/immutable/aaaaaaaaaaaaaaaaaaaaaaaaaa/0/corrupt HTTP/1.1\r\n" +
                authorization + "Content-Length: 100\r\n\r\nabc");
  CHECK(late.empty());
  CHECK(service.connections() == 0);
}

}  // namespace

TEST_CASE("a wrong swissnum is refused") {
  HttpFixture fixture;
  fixture.with_service(ask_with_another_swissnum);
}

TEST_CASE("a server with another key is not spoken to") {
  HttpFixture fixture;
  fixture.with_service(expect_another_key);
}

TEST_CASE("requests share a bounded number of connections") {
  HttpFixture fixture;
  fixture.client_options.max_connections = 3;
  fixture.with_service(share_connections);
}

TEST_CASE("the connection idle for longest makes room for a new one") {
  HttpFixture fixture;
  fixture.service_options.max_connections = 3;
  fixture.with_service(crowd);
}

TEST_CASE("a client that stops talking is hung up on") {
  HttpFixture fixture;
  fixture.service_options.progress_timeout = std::chrono::milliseconds(50);
  fixture.with_service(stay_silent);
}

namespace {
Task<> listen_twice(RemoteServer&, HttpService& service, std::uint16_t port) {
  auto again = co_await service.listen("127.0.0.1", port);
  CHECK(code(again) == Errc::busy);
  auto nowhere = co_await service.listen("not an address", 1);
  CHECK(code(nowhere) == Errc::bad_argument);
  auto other = co_await service.listen("127.0.0.1", 0);
  REQUIRE(other);
  CHECK(*other != port);
  RemoteServer client(co_await asio::this_coro::executor, loopback_nurl(*other));
  auto version = co_await client.version();
  CHECK(version);
  co_await client.close();
}
}  // namespace

TEST_CASE("a service may listen in several places, each only once") {
  HttpFixture fixture;
  fixture.with_service(listen_twice);
}
