// SPDX-License-Identifier: Apache-2.0
#include "grid/server/http_exchange.h"

#include <catch2/catch.hpp>

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;

namespace {

const std::string si = "aaaqeayeaudaocajbifqydiob4";
// 32 times 'R', 'C', 'W'; "upload".
const std::string renew = "lease-renew-secret UlJSUlJSUlJSUlJSUlJSUlJSUlJSUlJSUlJSUlJSUlI=";
const std::string cancel = "lease-cancel-secret Q0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0M=";
const std::string enabler = "write-enabler V1dXV1dXV1dXV1dXV1dXV1dXV1dXV1dXV1dXV1dXV1c=";
const std::string upload = "upload-secret dXBsb2Fk";

// A request with the right swissnum.
HttpHead request(std::string method, std::string path, std::vector<std::string> secrets = {},
                 std::vector<std::pair<std::string, std::string>> more = {}) {
  HttpHead head{std::move(method), "/storage/v1/" + path, std::move(more), std::nullopt};
  head.headers.emplace_back("authorization", "Tahoe-LAFS c3dpc3NudW0=");
  for (auto& secret : secrets) head.headers.emplace_back("X-Tahoe-Authorization", secret);
  return head;
}

std::variant<HttpCall, HttpReply> decide(const HttpHead& head) {
  static const HttpExchange exchange("swissnum", 1000);
  return exchange.decide(head);
}

// 0 when the request is taken.
unsigned status(const HttpHead& head) {
  const auto decision = decide(head);
  const auto* refusal = std::get_if<HttpReply>(&decision);
  return refusal ? refusal->status : 0;
}

HttpCall call(const HttpHead& head) { return std::get<HttpCall>(decide(head)); }

}  // namespace

TEST_CASE("every endpoint is found at its place") {
  CHECK(call(request("GET", "version")).endpoint == Endpoint::version);
  CHECK(call(request("HEAD", "version")).head_only);
  CHECK(call(request("PUT", "lease/" + si, {renew, cancel})).endpoint == Endpoint::add_lease);
  CHECK(call(request("POST", "immutable/" + si, {renew, cancel, upload})).endpoint ==
        Endpoint::allocate);
  const auto write = call(
      request("PATCH", "immutable/" + si + "/7", {upload}, {{"Content-Range", "bytes 5-14/*"}}));
  CHECK(write.endpoint == Endpoint::write);
  CHECK(write.number == ShareNo{7});
  CHECK(write.si.text() == si);
  CHECK(*write.range == ByteRange{5, 15});
  CHECK(call(request("PUT", "immutable/" + si + "/7/abort", {upload})).endpoint == Endpoint::abort);
  for (const std::string kind : {"immutable", "mutable"}) {
    CHECK(call(request("GET", kind + "/" + si + "/shares")).endpoint == Endpoint::list);
    const auto read = call(request("GET", kind + "/" + si + "/07", {}, {{"range", "bytes=5-5"}}));
    CHECK(read.endpoint == Endpoint::read);
    CHECK(read.number == ShareNo{7});
    CHECK(*read.range == ByteRange{5, 6});
    CHECK((read.kind == ShareKind::mutable_) == (kind == "mutable"));
    CHECK(call(request("POST", kind + "/" + si + "/7/corrupt")).endpoint ==
          Endpoint::advise_corrupt);
  }
  const auto rtw =
      call(request("POST", "mutable/" + si + "/read-test-write", {enabler, cancel, renew}));
  CHECK(rtw.endpoint == Endpoint::read_test_write);
  CHECK(rtw.body_limit == 1000);
  CHECK(as_text(rtw.write_enabler.view()) == std::string(32, 'W'));
  CHECK(as_text(rtw.lease.renew.view()) == std::string(32, 'R'));
  CHECK(as_text(rtw.lease.cancel.view()) == std::string(32, 'C'));
}

TEST_CASE("places that do not exist are 404 before anything else is looked at") {
  for (const auto& path : std::vector<std::string>{std::string(),
                                                   std::string("versio"),
                                                   std::string("version/"),
                                                   "lease/" + si + "/",
                                                   "lease/" + si + "/1",
                                                   "immutable/" + si + "/",
                                                   "immutable/" + si + "/-1",
                                                   "immutable/" + si + "/+1",
                                                   "immutable/" + si + "/1/2",
                                                   "immutable/" + si + "/1/abort/",
                                                   "immutable/" + si + "/99999999999999999999",
                                                   "immutable/" + si + "/read-test-write",
                                                   "mutable/" + si,
                                                   "mutable/" + si + "/1/abort",
                                                   "immutable/" + si.substr(1) + "/shares",
                                                   "immutable/" + si.substr(0, 25) + "b/shares",
                                                   "immutable/../shares",
                                                   "x/" + si + "/shares",
                                                   std::string("immutable//shares"),
                                                   std::string(100000, '/')}) {
    CAPTURE(path.substr(0, 100));
    CHECK(status({"GET", "/storage/v1/" + path, {}, {}}) == 404);
  }
  CHECK(status({"GET", "", {}, {}}) == 404);
  CHECK(status({"GET", "*", {}, {}}) == 404);
}

TEST_CASE("a wrong method is 405 and names the right ones") {
  const auto decision = decide({"DELETE", "/storage/v1/immutable/" + si + "/1", {}, {}});
  const auto& refusal = std::get<HttpReply>(decision);
  CHECK(refusal.status == 405);
  REQUIRE(refusal.headers.size() == 1);
  CHECK(refusal.headers[0].second == "GET, HEAD, PATCH");
}

TEST_CASE("only the first Authorization header counts, and only exactly") {
  for (const auto& value : std::vector<std::string>{
           "", "Tahoe-LAFS", "Tahoe-LAFS c3dpc3NudW0", "tahoe-lafs c3dpc3NudW0=",
           "Tahoe-LAFS c3dpc3NudW0= ", "Tahoe-LAFS  c3dpc3NudW0=", "Basic c3dpc3NudW0="}) {
    CAPTURE(value);
    CHECK(status({"GET", "/storage/v1/version", {{"Authorization", value}}, {}}) == 401);
  }
  CHECK(status({"GET", "/storage/v1/version", {}, {}}) == 401);
  auto head = request("GET", "version");
  head.headers.insert(head.headers.begin(), {"Authorization", "wrong"});
  CHECK(status(head) == 401);
  // Before the secrets are looked at.
  CHECK(status({"PUT", "/storage/v1/lease/" + si, {}, {}}) == 401);
}

TEST_CASE("the secrets must be exactly those of the endpoint") {
  const auto lease = "lease/" + si;
  CHECK(status(request("PUT", lease, {cancel, renew})) == 0);
  CHECK(status(request("PUT", lease, {renew, cancel, renew})) == 0);
  CHECK(status(request("PUT", lease, {"  lease-renew-secret  " + renew.substr(19), cancel})) == 0);
  CHECK(status(request("PUT", lease, {})) == 400);
  CHECK(status(request("PUT", lease, {renew})) == 400);
  CHECK(status(request("PUT", lease, {renew, cancel, upload})) == 400);
  CHECK(status(request("PUT", lease, {renew + ", " + cancel})) == 400);
  CHECK(status(request("PUT", lease, {renew, "lease-cancel-secret Q0ND"})) == 400);
  CHECK(status(request("PUT", lease, {renew, "lease-cancel-secret !!!"})) == 400);
  CHECK(status(request("PUT", lease, {renew, "lease-cancel-secret"})) == 400);
  CHECK(status(request("PUT", lease, {renew, cancel, "x-secret AAAA"})) == 400);
  CHECK(status(request("PUT", lease, {renew, cancel, ""})) == 400);
  CHECK(status(request("GET", "version", {upload})) == 400);
  const auto rtw = "mutable/" + si + "/read-test-write";
  CHECK(status(request("POST", rtw, {renew, cancel, "write-enabler AAAA"})) == 400);
  // An upload secret may have any length; another one is another secret.
  const auto other = call(request("PUT", "immutable/" + si + "/7/abort", {"upload-secret AAAA"}));
  CHECK_FALSE(other.upload ==
              call(request("PUT", "immutable/" + si + "/7/abort", {upload})).upload);
  // What is wrong is said without repeating secrets.
  const auto decision = decide(request("PUT", lease, {renew, cancel, "AAAAAAAA AAAAAAAA"}));
  CHECK(as_text(std::get<HttpReply>(decision).body).find("AAAA") == std::string_view::npos);
}

TEST_CASE("ranges of reads are closed, single and forward") {
  const auto path = "immutable/" + si + "/0";
  for (const auto& range :
       std::vector<std::string>{"bytes=5-", "bytes=-5", "bytes=0-1,5-6", "items=0-5", "bytes=abc",
                                "bytes=9-5", "", "bytes=", "bytes=0 - 5",
                                "bytes=0-18446744073709551615", "bytes=0-18446744073709551616"}) {
    CAPTURE(range);
    const auto decision = decide(request("GET", path, {}, {{"Range", range}}));
    const auto& refusal = std::get<HttpReply>(decision);
    CHECK(refusal.status == 416);
    CHECK(refusal.content_type == "application/octet-stream");
  }
  CHECK_FALSE(call(request("GET", path)).range);
}

TEST_CASE("a write names its range and sends all of it") {
  const auto path = "immutable/" + si + "/0";
  const auto patch = [&](std::string range, std::optional<std::uint64_t> length) {
    auto head = request("PATCH", path, {upload}, {{"Content-Range", std::move(range)}});
    head.content_length = length;
    return status(head);
  };
  CHECK(patch("bytes 0-9/*", 10) == 0);
  CHECK(patch("bytes 0-9/10", 10) == 0);
  CHECK(patch("bytes 0-9/*", 11) == 0);
  CHECK(patch("bytes 0-9/*", 9) == 400);
  CHECK(patch("bytes 0-9/9", 10) == 416);
  CHECK(patch("bytes */10", 10) == 416);
  CHECK(patch("bytes 0-9", 10) == 416);
  CHECK(patch("bytes 9-0/*", 10) == 416);
  CHECK(patch("items 0-9/*", 10) == 416);
  CHECK(patch("", 10) == 416);
  CHECK(status(request("PATCH", path, {upload})) == 416);
  CHECK(status(request("PATCH", path, {})) == 400);
}

TEST_CASE("types of bodies, accepted and sent") {
  const auto accept = [](std::string value) {
    return status(request("GET", "version", {}, {{"Accept", std::move(value)}}));
  };
  CHECK(accept("application/cbor") == 0);
  CHECK(accept("text/html;q=0.5, application/cbor") == 0);
  CHECK(accept("application/cbor; q=0.3, text/html; q=0.2") == 0);
  CHECK(accept("*/*") == 406);
  CHECK(accept("text/html") == 406);
  CHECK(accept("application/cbor;q=0.3, text/html") == 406);
  CHECK(accept(",,;;=,") == 406);
  const auto post = [](std::string type) {
    return status(request("POST", "immutable/" + si, {renew, cancel, upload},
                          {{"Content-Type", std::move(type)}}));
  };
  CHECK(post("application/cbor") == 0);
  CHECK(post("Application/CBOR; charset=x") == 0);
  CHECK(post("application/json") == 0);  // which Tahoe refuses
  CHECK(post("text/plain") == 415);
  CHECK(post("") == 415);
}

TEST_CASE("bodies have limits") {
  auto head = request("POST", "immutable/" + si, {renew, cancel, upload});
  head.content_length = 8192;
  CHECK(status(head) == 0);
  head.content_length = 8193;
  CHECK(status(head) == 413);
  head = request("POST", "mutable/" + si + "/read-test-write", {renew, cancel, enabler});
  head.content_length = 1001;
  CHECK(status(head) == 413);
  head = request("GET", "version");
  head.content_length = 1;
  CHECK(status(head) == 413);
}

TEST_CASE("replies to reads say which bytes they hold") {
  HttpCall read;
  read.endpoint = Endpoint::read;
  read.range = ByteRange{95, 145};
  auto reply = read_reply(read, Bytes(5, 'x'));
  CHECK(print_head(reply, reply.body.size(), true) ==
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n"
        "Content-Type: application/octet-stream\r\nContent-Range: bytes 95-99/*\r\n\r\n");
  reply = read_reply(read, {});
  CHECK(print_head(reply, 0, false) ==
        "HTTP/1.1 204 No Content\r\nContent-Type: application/octet-stream\r\n"
        "Connection: close\r\n\r\n");
  read.range.reset();
  reply = read_reply(read, {});
  CHECK(reply.status == 200);
  CHECK(print_head(reply, std::nullopt, true) ==
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: application/octet-stream\r\n\r\n");
}

TEST_CASE("errors become statuses, and details stay here") {
  HttpCall other;
  other.endpoint = Endpoint::add_lease;
  HttpCall read;
  read.endpoint = Endpoint::read;
  HttpCall abort;
  abort.endpoint = Endpoint::abort;
  CHECK(error_reply(read, {Errc::not_found, "/disk/x"}).status == 404);
  CHECK(error_reply(read, {Errc::not_found, "/disk/x"}).content_type == "application/octet-stream");
  CHECK(error_reply(other, {Errc::not_found, {}}).content_type.empty());
  CHECK(error_reply(abort, {Errc::refused, {}}).status == 405);
  CHECK(error_reply(other, {Errc::refused, {}}).status == 409);
  CHECK(error_reply(other, {Errc::conflict, {}}).status == 409);
  CHECK(error_reply(other, {Errc::unauthorized, {}}).status == 401);
  CHECK(error_reply(other, {Errc::no_space, {}}).status == 507);
  const auto broken = error_reply(other, {Errc::io, "/disk/x"});
  CHECK(broken.status == 500);
  CHECK(as_text(broken.body).find("/disk") == std::string_view::npos);
}
