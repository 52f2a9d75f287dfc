// SPDX-License-Identifier: Apache-2.0
// RemoteServer against peers that are gone, slow, silent or talk nonsense.
#include "grid/storage/remote_server.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/string_body.hpp>
#include <catch2/catch.hpp>

#include "grid/storage/http_stream.h"
#include "grid/storage/messages.h"
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

// A TLS peer on a free port that gives its next answer to whatever it is asked. After the last
// answer, or after one that is marked so, it closes the connection; an empty one is never sent.
struct Peer {
  struct Answer {
    std::string text;
    bool then_close = false;
    bool dribble = false;  // one byte every 10 ms
    bool hang_up = false;  // without a word
  };

  explicit Peer(asio::any_io_executor executor)
      : acceptor(executor, {asio::ip::make_address("127.0.0.1"), 0}), tasks(executor) {}

  std::uint16_t port() const { return acceptor.local_endpoint().port(); }
  void start() { tasks.spawn(accept()); }
  Task<> stop() {
    beast::error_code ignored;
    acceptor.close(ignored);
    tasks.cancel();
    co_await tasks.join();
  }

  Task<> accept() {
    while (acceptor.is_open()) {
      auto [error, socket] = co_await acceptor.async_accept(quietly);
      if (error) co_return;
      ++connections;
      tasks.spawn(serve(std::move(socket)));
    }
  }

  Task<> serve(Tcp::socket socket) {
    TlsStream stream{beast::tcp_stream(std::move(socket)), SSL_new(tls.get())};
    auto [failed] = co_await stream.async_handshake(asio::ssl::stream_base::server, quietly);
    if (failed) co_return;
    beast::flat_buffer buffer;
    while (true) {
      http::request<http::string_body> request;
      auto [error, n] = co_await http::async_read(stream, buffer, request, quietly);
      if (error) co_return;
      ++requests;
      if (next >= answers.size()) co_return;
      const auto& answer = answers[next++];
      if (answer.hang_up) co_return;
      if (answer.text.empty()) {
        Signal never(co_await asio::this_coro::executor);
        co_await never.wait();
        co_return;
      }
      const auto step = answer.dribble ? 1 : answer.text.size();
      for (std::size_t at = 0; at < answer.text.size(); at += step) {
        if (answer.dribble) co_await sleep_for(std::chrono::milliseconds(10));
        auto [unsent, m] = co_await asio::async_write(
            stream, asio::buffer(answer.text.data() + at, step), quietly);
        if (unsent) co_return;
      }
      if (answer.then_close) co_return;
    }
  }

  Tcp::acceptor acceptor;
  TlsContext tls = server_tls(test_identity());
  std::vector<Answer> answers;
  std::size_t next = 0;
  int connections = 0;
  int requests = 0;
  TaskGroup tasks;
};

std::string reply(std::string status, std::string type, ByteView body, std::string more = {}) {
  return "HTTP/1.1 " + status + " X\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" +
         to_text(body);
}
std::string good_version() {
  return reply("200", "application/cbor", encode_version({1, 2, 3, "peer"}));
}

RemoteServer::Options quick() {
  RemoteServer::Options options;
  options.name = "server one";
  options.connect_timeout = std::chrono::milliseconds(300);
  options.reply_timeout = std::chrono::milliseconds(100);
  options.progress_timeout = std::chrono::milliseconds(100);
  options.queue_timeout = std::chrono::milliseconds(200);
  return options;
}

// Runs `body(client, peer)` with a peer that gives these answers.
template <class Body>
void with_peer(std::vector<Peer::Answer> answers, RemoteServer::Options options, Body body) {
  struct Run {
    static Task<> go(std::vector<Peer::Answer>& answers, RemoteServer::Options& options,
                     Body& body) {
      auto executor = co_await asio::this_coro::executor;
      Peer peer(executor);
      peer.answers = std::move(answers);
      peer.start();
      RemoteServer client(executor, loopback_nurl(peer.port()), options);
      co_await body(client, peer);
      co_await client.close();
      co_await peer.stop();
    }
  };
  lafs::run(Run::go(answers, options, body));
}

Task<> ask_version(RemoteServer& client, Result<ServerVersion>& out) {
  out = co_await client.version();
}

// What version() makes of one answer.
Errc after(Peer::Answer answer) {
  Result<ServerVersion> out;
  auto body = [&](RemoteServer& client, Peer&) { return ask_version(client, out); };
  with_peer({answer}, quick(), body);
  if (!out) CHECK(out.error().context.starts_with("server one"));
  return code(out);
}

Task<> read_ten(RemoteServer& client, Result<Bytes>& out) {
  out = co_await client.read(ShareKind::immutable, StorageIndex{}, ShareNo{0}, 5, 10);
}

Errc read_after(std::string answer) {
  Result<Bytes> out;
  auto body = [&](RemoteServer& client, Peer&) { return read_ten(client, out); };
  with_peer({{answer}}, quick(), body);
  return code(out);
}

constexpr Errc fine = Errc::internal;  // what code() says of a success

}  // namespace

TEST_CASE("a peer that answers well is understood") { CHECK(after({good_version()}) == fine); }

TEST_CASE("a server that never answers meets the deadline") {
  const auto begin = Clock::now();
  CHECK(after({}) == Errc::timed_out);
  CHECK(Clock::now() - begin < std::chrono::seconds(5));
}

TEST_CASE("a server that sends a byte now and then meets the deadline") {
  CHECK(after({good_version(), false, true}) == Errc::timed_out);
}

TEST_CASE("a server that hangs up is unreachable") {
  CHECK(after({"HTTP/1.1 200 OK\r\nContent-Le", true}) == Errc::unreachable);
  CHECK(
      after({"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nContent-Length: 100\r\n\r\nabc",
             true}) == Errc::unreachable);
}

TEST_CASE("nonsense is a protocol error") {
  const auto body = encode_version({1, 2, 3, "peer"});
  CHECK(after({"SSH-2.0-OpenSSH_9.2\r\n\r\n"}) == Errc::protocol);
  CHECK(after({reply("200", "text/html", body)}) == Errc::protocol);
  CHECK(after({reply("200", "application/cbor", as_bytes("nonsense"))}) == Errc::protocol);
  CHECK(after({reply("200", "application/cbor", ByteView(body).first(10))}) == Errc::protocol);
  CHECK(after({reply("302", "text/html", {}, "Location: https://example.com/\r\n")}) ==
        Errc::protocol);
  CHECK(after({reply("418", "text/plain", {})}) == Errc::protocol);
  CHECK(after({"HTTP/1.1 200 OK\r\nX: " + std::string(20000, 'x') + "\r\n\r\n"}) == Errc::protocol);
  std::string interim;
  for (int i = 0; i < 10; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  CHECK(after({interim}) == Errc::protocol);
  CHECK(after({"HTTP/1.1 100 Continue\r\n\r\n" + good_version()}) == fine);
}

TEST_CASE("more than was asked for is not taken") {
  CHECK(after({reply("200", "application/cbor", Bytes(100000))}) == Errc::too_large);
  // However much it claims.
  CHECK(after({"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\n"
               "Content-Length: 18446744073709551615\r\n\r\n",
               true}) == Errc::unreachable);
}

TEST_CASE("statuses become errors") {
  CHECK(after({reply("401", "text/plain", as_bytes("Wrong Authorization header"))}) ==
        Errc::unauthorized);
  CHECK(after({reply("500", "text/html", as_bytes("<html>Processing Failed</html>"))}) ==
        Errc::refused);
  CHECK(after({reply("503", "text/plain", {})}) == Errc::busy);
  CHECK(after({reply("507", "text/plain", {})}) == Errc::no_space);
  CHECK(after({reply("404", "text/plain", Bytes(100000, 'x'))}) == Errc::not_found);
}

TEST_CASE("a read's answer must be the range that was asked for") {
  const std::string octets = "application/octet-stream";
  const auto ten = Bytes(10, 'x');
  CHECK(read_after(reply("206", octets, ten, "Content-Range: bytes 5-14/*\r\n")) == fine);
  CHECK(read_after(reply("206", octets, ByteView(ten).first(3),
                         "Content-Range: bytes 5-7/*\r\n")) == fine);
  CHECK(read_after("HTTP/1.1 204 No Content\r\n\r\n") == fine);
  CHECK(read_after(reply("206", octets, ten)) == Errc::protocol);
  CHECK(read_after(reply("206", octets, ten, "Content-Range: bytes 6-15/*\r\n")) == Errc::protocol);
  CHECK(read_after(reply("206", octets, ten, "Content-Range: bytes 5-13/*\r\n")) == Errc::protocol);
  CHECK(read_after(reply("206", octets, ten, "Content-Range: bytes x-y\r\n")) == Errc::protocol);
  CHECK(read_after(reply("206", octets, {}, "Content-Range: bytes 5-4/*\r\n")) == Errc::protocol);
  CHECK(read_after(reply("200", octets, ten)) == Errc::protocol);
  CHECK(read_after(reply("206", octets, Bytes(11), "Content-Range: bytes 5-15/*\r\n")) ==
        Errc::too_large);
  CHECK(read_after(reply("404", octets, {})) == Errc::not_found);
}

namespace {
Task<> ask_nobody() {
  auto executor = co_await asio::this_coro::executor;
  std::uint16_t port = 0;
  {
    Tcp::acceptor acceptor(executor, {asio::ip::make_address("127.0.0.1"), 0});
    port = acceptor.local_endpoint().port();
  }
  RemoteServer client(executor, loopback_nurl(port), quick());
  auto version = co_await client.version();
  CHECK(code(version) == Errc::unreachable);
  co_await client.close();
  // Tcp accepts, TLS never begins.
  Tcp::acceptor silent(executor, {asio::ip::make_address("127.0.0.1"), 0});
  RemoteServer other(executor, loopback_nurl(silent.local_endpoint().port()), quick());
  version = co_await other.version();
  CHECK(code(version) == Errc::timed_out);
  co_await other.close();
  auto nurl = loopback_nurl(port);
  nurl.host = "name.invalid";
  RemoteServer nameless(executor, nurl);
  version = co_await nameless.version();
  CHECK(code(version) == Errc::unreachable);
  co_await nameless.close();
  version = co_await nameless.version();
  CHECK(code(version) == Errc::closed);
}

Task<> ask_twice(RemoteServer& client, Peer& peer) {
  auto first = co_await client.version();
  CHECK(first);
  auto second = co_await client.version();
  CHECK(second);
  CHECK(peer.requests == 3);  // one of them came over a connection that was about to close
  CHECK(peer.connections == 2);
}

Task<> publish_once(RemoteServer& client, Peer& peer) {
  auto first = co_await client.version();
  CHECK(first);
  const MutableSecrets secrets{};
  auto written = co_await client.read_test_write(StorageIndex{}, secrets, put(0, 0, to_bytes("x")));
  CHECK(code(written) == Errc::unreachable);
  CHECK(peer.requests == 2);
}

Task<> give_up(RemoteServer& client, Peer&) {
  TaskGroup group(co_await asio::this_coro::executor);
  Result<ServerVersion> out;
  group.spawn(ask_version(client, out));
  co_await group.wait_one(Clock::now() + std::chrono::milliseconds(50));
  CHECK(group.running() == 1);
  group.cancel();
  co_await group.join();
  CHECK(code(out) == Errc::cancelled);
}

Task<> close_under_way(RemoteServer& client, Peer&) {
  TaskGroup group(co_await asio::this_coro::executor);
  Result<ServerVersion> asking;
  Result<ServerVersion> queued;
  group.spawn(ask_version(client, asking));
  group.spawn(ask_version(client, queued));
  co_await group.wait_one(Clock::now() + std::chrono::milliseconds(50));
  co_await client.close();
  co_await group.join();
  CHECK(code(asking) == Errc::closed);
  CHECK(code(queued) == Errc::closed);
}

Task<> wait_in_line(RemoteServer& client, Peer&) {
  TaskGroup group(co_await asio::this_coro::executor);
  Result<ServerVersion> first;
  Result<ServerVersion> second;
  group.spawn(ask_version(client, first));
  group.spawn(ask_version(client, second));
  co_await group.join();
  CHECK(code(first) == Errc::timed_out);
  CHECK(code(second) == Errc::timed_out);
}
// One of its places refuses, one is silent, at one there is somebody else.
Task<> ask_where_it_can_be_reached() {
  auto executor = co_await asio::this_coro::executor;
  Tcp::acceptor silent(executor, {asio::ip::make_address("127.0.0.1"), 0});
  Peer stranger(executor), peer(executor);
  std::uint16_t nobody = 0;
  {
    Tcp::acceptor acceptor(executor, {asio::ip::make_address("127.0.0.1"), 0});
    nobody = acceptor.local_endpoint().port();
  }
  stranger.tls = server_tls(Identity::generate());
  peer.answers = {{good_version(), true}, {good_version(), true}};
  stranger.start();
  peer.start();
  RemoteServer::Options options;
  options.head_start = std::chrono::milliseconds(20);
  options.also_at = {loopback_nurl(silent.local_endpoint().port()), loopback_nurl(stranger.port()),
                     loopback_nurl(peer.port())};
  RemoteServer client(executor, loopback_nurl(nobody), options);
  for (int i = 0; i < 2; ++i) {
    auto version = co_await client.version();
    CHECK(version);
  }
  CHECK(peer.connections == 2);
  CHECK(stranger.requests == 0);  // it heard nothing of ours
  co_await client.close();
  co_await peer.stop();
  // Somebody else at one place does not mean that it has another key: it is not there.
  options.also_at = {loopback_nurl(nobody)};
  RemoteServer lost(executor, loopback_nurl(stranger.port()), options);
  auto version = co_await lost.version();
  CHECK(code(version) == Errc::unreachable);
  co_await lost.close();
  co_await stranger.stop();
}
}  // namespace

TEST_CASE("a server that is not there is unreachable") { lafs::run(ask_nobody()); }

TEST_CASE("of a server's places the one that answers is used") {
  lafs::run(ask_where_it_can_be_reached());
}

TEST_CASE("a request that dies on a kept connection is repeated on a fresh one") {
  // The first connection answers once, takes the second request and closes.
  with_peer({{good_version()}, {{}, false, false, true}, {good_version()}}, quick(), ask_twice);
}

TEST_CASE("a request that would do something twice is not repeated") {
  with_peer({{good_version()}}, quick(), publish_once);
}

TEST_CASE("a caller may give up") {
  auto options = quick();
  options.reply_timeout = std::chrono::seconds(30);
  with_peer({{}}, options, give_up);
}

TEST_CASE("closing ends what is under way") {
  auto options = quick();
  options.reply_timeout = std::chrono::seconds(30);
  options.queue_timeout = std::chrono::seconds(30);
  options.max_connections = 1;
  with_peer({{}}, options, close_under_way);
}

TEST_CASE("waiting for a connection has a deadline too") {
  auto options = quick();
  options.max_connections = 1;
  options.reply_timeout = std::chrono::milliseconds(300);
  with_peer({{}}, options, wait_in_line);
}
