// SPDX-License-Identifier: Apache-2.0

// The HTTP service under clients that want too much, too slowly or too often, and its other body
// encoding.

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "grid/base/metrics.h"
#include "grid/server/http_service.h"
#include "grid/storage/messages_json.h"
#include "tests/fake/fake_server.h"
#include "tests/grid/server/http_fixture.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;
using namespace lafs::test;

namespace {

const std::string authorization = "Authorization: Tahoe-LAFS c3dpc3NudW0=\r\n";  // "swissnum"
const std::string version = "GET /storage/v1/version HTTP/1.1\r\n" + authorization + "\r\n";

// A service in front of a server in memory, spoken to over socket pairs without TLS.
struct Clear {
  fake::FakeServer server;
  metrics::Registry figures;
  HttpService::Options options;
  std::optional<HttpService> service;

  Clear() {
    options.swissnum = "swissnum";
    options.metrics = &figures;
  }
  template <class Body>
  void run(Body body) {
    lafs::run(go(*this, body));
  }
  template <class Body>
  static Task<> go(Clear& clear, Body& body) {
    clear.service.emplace(co_await asio::this_coro::executor, clear.server, test_identity(),
                          clear.options);
    co_await body(clear);
    co_await clear.service->close();
    co_await clear.server.close();
    clear.service.reset();
  }

  // Our end of a new connection; it does not block.
  int connect() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    service->serve_in_the_clear(ends[1]);
    return ends[0];
  }
};

// What comes until the service hangs up, or until there is `enough` of it.
Task<std::string> hear(int socket, std::size_t enough = SIZE_MAX) {
  std::string out;
  char piece[4096];
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (out.size() < enough && Clock::now() < deadline) {
    const auto n = ::recv(socket, piece, sizeof piece, 0);
    if (n == 0) {
      ::shutdown(socket, SHUT_WR);
      break;
    }
    if (n > 0) {
      out.append(piece, static_cast<std::size_t>(n));
    } else {
      co_await sleep_for(std::chrono::milliseconds(1));
    }
  }
  co_return out;
}

void say(int socket, const std::string& text) {
  CHECK(::send(socket, text.data(), text.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(text.size()));
}

std::size_t count(const std::string& all, const std::string& what) {
  std::size_t n = 0;
  for (auto at = all.find(what); at != all.npos; at = all.find(what, at + 1)) ++n;
  return n;
}

Task<> ask_three_times(Clear& clear) {
  const int socket = clear.connect();
  say(socket, version + version + version);
  const auto heard = co_await hear(socket);
  CHECK(count(heard, "HTTP/1.1 200 OK") == 2);
  CHECK(count(heard, "Connection: close") == 1);
  ::close(socket);
  CHECK(clear.figures.text().find(
            "lafs_storage_requests_total{endpoint=\"version\",status=\"200\"} 2\n") !=
        std::string::npos);
}

}  // namespace

TEST_CASE("a connection has so many requests and no more") {
  Clear clear;
  clear.options.max_requests_per_connection = 2;
  clear.run(ask_three_times);
}

namespace {

Task<> send_long_heads(Clear& clear) {
  const int socket = clear.connect();
  say(socket, "GET /storage/v1/version HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
  auto heard = co_await hear(socket);
  CHECK(heard.starts_with("HTTP/1.1 431 "));
  ::close(socket);
  const int many = clear.connect();
  std::string head = "GET /storage/v1/version HTTP/1.1\r\n";
  for (int i = 0; i < 3000; ++i) head += "X: y\r\n";
  say(many, head);
  heard = co_await hear(many);
  INFO(heard);
  CHECK(heard.starts_with("HTTP/1.1 431 "));
  ::close(many);
}

}  // namespace

TEST_CASE("a head has so many bytes and no more") {
  Clear clear;
  clear.run(send_long_heads);
}

namespace {

Task<> drip(Clear& clear) {
  const auto begin = Clock::now();
  const int socket = clear.connect();
  std::string heard;
  for (const char c : version) {
    if (::send(socket, &c, 1, MSG_NOSIGNAL) != 1) break;
    co_await sleep_for(std::chrono::milliseconds(10));
    char byte;
    if (::recv(socket, &byte, 1, 0) == 0) break;
  }
  CHECK(Clock::now() - begin < std::chrono::milliseconds(700));
  ::close(socket);
}

Task<> do_not_read(Clear& clear) {
  clear.server.put_share(StorageIndex{}, ShareNo{0}, Bytes(8 << 20));
  const int socket = clear.connect();
  say(socket, "GET /storage/v1/immutable/aaaaaaaaaaaaaaaaaaaaaaaaaa/0 HTTP/1.1\r\n" +
                  authorization + "\r\n");
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  bool begun = false;
  while (Clock::now() < deadline) {
    co_await sleep_for(std::chrono::milliseconds(5));
    begun = begun || clear.service->connections() == 1;
    if (begun && clear.service->connections() == 0) break;
  }
  CHECK(clear.service->connections() == 0);
  ::close(socket);
}

}  // namespace

TEST_CASE("a head that comes byte by byte meets its deadline") {
  Clear clear;
  clear.options.progress_timeout = std::chrono::milliseconds(200);
  clear.run(drip);
}

TEST_CASE("a reader that does not read meets its deadline") {
  Clear clear;
  clear.options.progress_timeout = std::chrono::milliseconds(100);
  clear.run(do_not_read);
}

namespace {

Task<> stop_while_busy(Clear& clear) {
  const int idle = clear.connect();
  say(idle, version);
  (void)co_await hear(idle, 1);
  clear.server.faults.delay = std::chrono::milliseconds(50);
  const int busy = clear.connect();
  say(busy, version + version);
  co_await sleep_for(std::chrono::milliseconds(10));
  CHECK(clear.service->connections() == 2);
  co_await clear.service->drain(std::chrono::seconds(5));
  CHECK(clear.service->connections() == 0);
  const auto heard = co_await hear(busy);
  CHECK(count(heard, "HTTP/1.1 200 OK") == 1);
  ::close(idle);
  ::close(busy);
}

Task<> stop_without_patience(Clear& clear) {
  clear.server.faults.stalled = true;
  const int busy = clear.connect();
  say(busy, version);
  co_await sleep_for(std::chrono::milliseconds(10));
  co_await clear.service->drain(std::chrono::milliseconds(20));
  CHECK(clear.service->connections() == 1);
  clear.server.release();
  ::close(busy);
}

}  // namespace

TEST_CASE("a service that drains answers what it has begun and nothing else") {
  Clear patient;
  patient.run(stop_while_busy);
  Clear impatient;
  impatient.run(stop_without_patience);
}

namespace {

std::string request(const std::string& line, const std::string& body,
                    const std::string& headers = {}) {
  return line + " HTTP/1.1\r\n" + authorization + headers +
         "Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

Task<std::string> ask(Clear& clear, std::string text) {
  const int socket = clear.connect();
  say(socket, text);
  auto heard = co_await hear(socket);
  ::close(socket);
  const auto body = heard.find("\r\n\r\n");
  co_return heard.substr(9, 3) + " " + (body == heard.npos ? "" : heard.substr(body + 4));
}

std::string secret(const char* kind, char c) {
  return std::string("X-Tahoe-Authorization: ") + kind + " " +
         base64(as_bytes(std::string(32, c))) + "\r\n";
}

Task<> speak_json(Clear& clear) {
  const std::string si = "aaaqeayeaudaocajbifqydiob4";
  const auto leases = secret("lease-renew-secret", 'R') + secret("lease-cancel-secret", 'C');
  const auto upload = secret("upload-secret", 'U');
  auto heard = co_await ask(
      clear, request("POST /storage/v1/immutable/" + si,
                     R"({"share-numbers":[0,3],"allocated-size":5})", leases + upload));
  CHECK(heard == "200 {\"already-have\":[],\"allocated\":[0,3]}\n");
  heard = co_await ask(clear, request("PATCH /storage/v1/immutable/" + si + "/3", "hel",
                                      upload + "Content-Range: bytes 0-2/*\r\n"));
  CHECK(heard == "200 {\"required\":[{\"begin\":3,\"end\":5}]}\n");
  heard = co_await ask(clear, request("PATCH /storage/v1/immutable/" + si + "/3", "lo",
                                      upload + "Content-Range: bytes 3-4/*\r\n"));
  CHECK(heard == "201 {\"required\":[]}\n");
  heard = co_await ask(clear, request("GET /storage/v1/immutable/" + si + "/shares", ""));
  CHECK(heard == "200 [3]\n");
  heard = co_await ask(
      clear, request("POST /storage/v1/immutable/" + si + "/3/corrupt", R"({"reason":"bad"})"));
  CHECK(heard == "200 ");
  const std::string change =
      R"({"test-write-vectors":{"1":{"test":[{"offset":0,"size":1,"specimen":""}],)"
      R"("write":[{"offset":0,"data":"aGVsbG8="}],"new-length":null}},"read-vector":[]})";
  const auto where = "POST /storage/v1/mutable/ccaqeayeaudaocajbifqydiob4/read-test-write";
  const auto all = leases + secret("write-enabler", 'W');
  heard = co_await ask(clear, request(where, change, all));
  CHECK(heard == "200 {\"success\":true,\"data\":{}}\n");
  heard = co_await ask(
      clear,
      request(where, R"({"test-write-vectors":{},"read-vector":[{"offset":1,"size":3}]})", all));
  CHECK(heard == "200 {\"success\":true,\"data\":{\"1\":[\"ZWxs\"]}}\n");
  heard = co_await ask(clear, request("GET /storage/v1/version", ""));
  CHECK(heard.find("\"available-space\":") != heard.npos);
}

}  // namespace

TEST_CASE("whoever prefers JSON is answered in JSON") {
  Clear clear;
  clear.run(speak_json);
}

TEST_CASE("JSON that is not what the protocol wants is refused") {
  for (const char* bad :
       {"", "[]", "{", R"({"share-numbers":[0]})", R"({"share-numbers":[0],"allocated-size":-1})",
        R"({"share-numbers":["0"],"allocated-size":1})",
        R"({"share-numbers":[0],"allocated-size":1,"more":1})"}) {
    INFO(bad);
    CHECK(!allocate_of_json(bad));
  }
  CHECK(!reason_of_json(R"({"reason":""})"));
  for (const char* bad :
       {R"({"test-write-vectors":{},"read-vector":[{"offset":1}]})",
        R"({"test-write-vectors":{"x":{"test":[],"write":[],"new-length":null}},"read-vector":[]})",
        R"({"test-write-vectors":{"0":{"test":[],"write":[{"offset":0,"data":"*"}],)"
        R"("new-length":null}},"read-vector":[]})"}) {
    INFO(bad);
    CHECK(!read_test_write_of_json(bad));
  }
}
