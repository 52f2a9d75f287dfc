// SPDX-License-Identifier: Apache-2.0
#include "grid/server/http_exchange.h"

#include <fmt/format.h>

#include <cstdlib>

#include "grid/base/base32.h"
#include "grid/base/netstring.h"
#include "grid/crypto/hash.h"

namespace lafs::grid::storage {

namespace {

constexpr std::string_view octets = "application/octet-stream";
constexpr std::string_view cbor = "application/cbor";
constexpr std::string_view json = "application/json";
constexpr std::uint64_t max_allocate_body = 8192;
constexpr std::uint64_t max_report_body = 32768 + 64;

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view strip(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Up to `separator`, which is taken off `rest` as well.
std::string_view take_until(std::string_view& rest, char separator) {
  const auto at = rest.find(separator);
  const auto front = rest.substr(0, at);
  rest = at == rest.npos ? std::string_view{} : rest.substr(at + 1);
  return front;
}

// --- routing

struct Route {
  StorageIndex si;
  ShareNo number;
  ShareKind kind = ShareKind::immutable;
  // What may be done there: method and endpoint. Empty: there is no such place.
  std::vector<std::pair<std::string_view, Endpoint>> methods;
};

Route find_route(std::string_view target) {
  Route route;
  std::string_view path = target.substr(0, target.find('?'));
  std::vector<std::string_view> parts;
  constexpr std::string_view top = "/storage/v1/";
  if (!path.starts_with(top)) return route;
  path.remove_prefix(top.size());
  while (true) {
    const auto slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == path.npos || parts.size() > 4) break;
    path.remove_prefix(slash + 1);
  }
  if (parts.size() == 1 && parts[0] == "version") {
    route.methods = {{"GET", Endpoint::version}};
    return route;
  }
  if (parts.size() < 2) return route;
  const auto si = StorageIndex::from_text(parts[1]);
  if (!si) return route;
  route.si = *si;
  if (parts[0] == "lease") {
    if (parts.size() == 2) route.methods = {{"PUT", Endpoint::add_lease}};
    return route;
  }
  const bool immutable = parts[0] == "immutable";
  if (!immutable && parts[0] != "mutable") return route;
  route.kind = immutable ? ShareKind::immutable : ShareKind::mutable_;
  if (parts.size() == 2) {
    if (immutable) route.methods = {{"POST", Endpoint::allocate}};
    return route;
  }
  if (parts.size() == 3 && parts[2] == "shares") {
    route.methods = {{"GET", Endpoint::list}};
    return route;
  }
  if (parts.size() == 3 && !immutable && parts[2] == "read-test-write") {
    route.methods = {{"POST", Endpoint::read_test_write}};
    return route;
  }
  const auto number = parse_decimal(parts[2]);
  if (!number) return route;
  route.number = ShareNo{*number};
  if (parts.size() == 3) {
    route.methods = {{"GET", Endpoint::read}};
    if (immutable) route.methods.push_back({"PATCH", Endpoint::write});
  } else if (parts.size() == 4 && parts[3] == "corrupt") {
    route.methods = {{"POST", Endpoint::advise_corrupt}};
  } else if (parts.size() == 4 && parts[3] == "abort" && immutable) {
    route.methods = {{"PUT", Endpoint::abort}};
  }
  return route;
}

HttpReply router_reply(unsigned status, std::string_view title) {
  HttpReply reply;
  reply.status = status;
  reply.content_type = "text/html; charset=utf-8";
  reply.body = to_bytes(fmt::format("<!doctype html><title>{} {}</title>\n", status, title));
  return reply;
}

// --- secrets

enum Kind : unsigned { renew = 1, cancel = 2, upload = 4, enabler = 8 };

unsigned kinds_for(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::add_lease:
      return renew | cancel;
    case Endpoint::allocate:
      return renew | cancel | upload;
    case Endpoint::write:
    case Endpoint::abort:
      return upload;
    case Endpoint::read_test_write:
      return renew | cancel | enabler;
    case Endpoint::version:
    case Endpoint::list:
    case Endpoint::read:
    case Endpoint::advise_corrupt:
      break;
  }
  return 0;
}

// What is wrong with the secrets; nothing when they are exactly those of `wanted`.
std::optional<std::string_view> take_secrets(const HttpHead& head, unsigned wanted,
                                             HttpCall& call) {
  unsigned seen = 0;
  for (const auto& [name, value] : head.headers) {
    if (!same_name(name, "X-Tahoe-Authorization")) continue;
    std::string_view rest = strip(value);
    const auto kind = take_until(rest, ' ');
    const auto secret = from_base64(strip(rest));
    if (!secret || secret->empty()) return "Failed to decode secret";
    const auto exact = Secret32::from(*secret);
    if (kind == "upload-secret") {
      call.upload = upload_secret_of(*secret);
      seen |= upload;
    } else if (kind == "write-enabler") {
      if (!exact) return "Write enablers must be 32 bytes long";
      call.write_enabler = *exact;
      seen |= enabler;
    } else if (kind == "lease-renew-secret" || kind == "lease-cancel-secret") {
      if (!exact) return "Lease secrets must be 32 bytes long";
      (kind == "lease-renew-secret" ? call.lease.renew : call.lease.cancel) = *exact;
      seen |= kind == "lease-renew-secret" ? renew : cancel;
    } else {
      return "Bad header value(s) in X-Tahoe-Authorization";
    }
  }
  if (seen != wanted) return "Other secrets are expected in X-Tahoe-Authorization headers";
  return std::nullopt;
}

// --- headers of endpoints

// The best entry of the first Accept header must be CBOR or, which Tahoe does not know, JSON.
bool accepts_ours(const HttpHead& head, HttpCall& call) {
  const auto* accept = head.find("Accept");
  if (!accept) return true;
  std::string_view rest = *accept;
  std::string_view best;
  double best_quality = -1;
  while (!rest.empty()) {
    std::string_view entry = take_until(rest, ',');
    const auto type = strip(take_until(entry, ';'));
    double quality = 1;
    while (!entry.empty()) {
      const auto parameter = strip(take_until(entry, ';'));
      if (parameter.starts_with("q=")) {
        quality = std::strtod(std::string(parameter.substr(2)).c_str(), nullptr);
      }
    }
    if (quality > best_quality) {
      best = type;
      best_quality = quality;
    }
  }
  call.json_reply = same_name(best, json);
  return call.json_reply || same_name(best, cbor);
}

bool sends_ours(const HttpHead& head, HttpCall& call) {
  const auto* type = head.find("Content-Type");
  if (!type) return true;
  std::string_view rest = *type;
  const auto name = strip(take_until(rest, ';'));
  call.json_body = same_name(name, json);
  return call.json_body || same_name(name, cbor);
}

// "A-B" with A <= B, as a half-open range.
std::optional<ByteRange> parse_closed_range(std::string_view text) {
  const auto first = parse_decimal(take_until(text, '-'));
  const auto last = parse_decimal(text);
  if (!first || !last || *last < *first || *last == UINT64_MAX) return std::nullopt;
  return ByteRange{*first, *last + 1};
}

std::optional<ByteRange> parse_range(std::string_view value) {
  constexpr std::string_view unit = "bytes=";
  value = strip(value);
  if (!value.starts_with(unit)) return std::nullopt;
  return parse_closed_range(value.substr(unit.size()));
}

std::optional<ByteRange> parse_content_range(std::string_view value) {
  constexpr std::string_view unit = "bytes ";
  value = strip(value);
  if (!value.starts_with(unit)) return std::nullopt;
  value.remove_prefix(unit.size());
  auto range = parse_closed_range(take_until(value, '/'));
  if (!range) return std::nullopt;
  if (value == "*") return range;
  const auto total = parse_decimal(value);
  if (!total || *total < range->end) return std::nullopt;
  return range;
}

std::optional<HttpReply> check_head(const HttpHead& head, HttpCall& call,
                                    std::uint64_t max_mutable_request) {
  const auto refuse = [](unsigned status, std::string_view type = {}) {
    auto reply = plain_reply(status);
    reply.content_type = type;
    return reply;
  };
  switch (call.endpoint) {
    case Endpoint::version:
    case Endpoint::list:
      if (!accepts_ours(head, call)) return refuse(406);
      break;
    case Endpoint::read:
      if (const auto* range = head.find("Range")) {
        call.range = parse_range(*range);
        if (!call.range) return refuse(416, octets);
      }
      break;
    case Endpoint::write: {
      const auto* range = head.find("Content-Range");
      if (range) call.range = parse_content_range(*range);
      if (!call.range) return refuse(416);
      if (!accepts_ours(head, call)) return refuse(406);
      if (head.content_length && *head.content_length < call.range->size()) {
        return plain_reply(400, "The body is shorter than its Content-Range");
      }
      call.body_limit = UINT64_MAX;  // read in pieces, and only as far as the range goes
      return std::nullopt;
    }
    case Endpoint::allocate:
    case Endpoint::read_test_write:
    case Endpoint::advise_corrupt:
      if (!sends_ours(head, call)) return refuse(415);
      if (call.endpoint != Endpoint::advise_corrupt && !accepts_ours(head, call))
        return refuse(406);
      call.body_limit = call.endpoint == Endpoint::allocate         ? max_allocate_body
                        : call.endpoint == Endpoint::advise_corrupt ? max_report_body
                                                                    : max_mutable_request;
      break;
    case Endpoint::add_lease:
    case Endpoint::abort:
      break;
  }
  if (head.content_length.value_or(0) > call.body_limit) return too_long_reply();
  return std::nullopt;
}

std::string_view reason_of(unsigned status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 409:
      return "Conflict";
    case 413:
      return "Request Entity Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Requested Range Not Satisfiable";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 507:
      return "Insufficient Storage";
    default:
      return "Internal Server Error";
  }
}

// Only the errors that clients can act upon are told apart.
unsigned status_of(const HttpCall& call, Errc code) {
  switch (code) {
    case Errc::not_found:
      return 404;
    case Errc::unauthorized:
      return 401;
    case Errc::conflict:
      return 409;
    case Errc::refused:
      return call.endpoint == Endpoint::abort ? 405 : 409;
    case Errc::bad_range:
      return 416;
    case Errc::too_large:
      return 413;
    case Errc::bad_argument:
    case Errc::protocol:
      return 400;
    case Errc::no_space:
      return 507;
    case Errc::busy:
    case Errc::closed:
      return 503;
    default:
      return 500;
  }
}

}  // namespace

const std::string* HttpHead::find(std::string_view name) const {
  for (const auto& [known, value] : headers) {
    if (same_name(known, name)) return &value;
  }
  return nullptr;
}

HttpExchange::HttpExchange(std::string_view swissnum, std::uint64_t max_mutable_request)
    : authorization_("Tahoe-LAFS " + base64(as_bytes(swissnum))),
      max_mutable_request_(max_mutable_request) {}

std::variant<HttpCall, HttpReply> HttpExchange::decide(const HttpHead& head) const {
  const auto route = find_route(head.target);
  if (route.methods.empty()) return router_reply(404, "Not Found");
  HttpCall call;
  call.si = route.si;
  call.number = route.number;
  call.kind = route.kind;
  call.head_only = head.method == "HEAD";
  const std::string_view method = call.head_only ? "GET" : std::string_view(head.method);
  const auto found =
      std::ranges::find(route.methods, method, &std::pair<std::string_view, Endpoint>::first);
  if (found == route.methods.end()) {
    auto reply = router_reply(405, "Method Not Allowed");
    std::string allow;
    for (const auto& [name, endpoint] : route.methods) {
      allow += (allow.empty() ? "" : ", ") + std::string(name) + (name == "GET" ? ", HEAD" : "");
    }
    reply.headers.emplace_back("Allow", allow);
    return reply;
  }
  call.endpoint = found->second;

  const auto* authorization = head.find("Authorization");
  if (!authorization || !equal_secret(as_bytes(*authorization), as_bytes(authorization_))) {
    return plain_reply(401, "Wrong Authorization header");
  }
  if (auto wrong = take_secrets(head, kinds_for(call.endpoint), call)) {
    return plain_reply(400, *wrong);
  }
  if (auto refusal = check_head(head, call, max_mutable_request_)) return std::move(*refusal);
  return call;
}

UploadSecret upload_secret_of(ByteView wire) { return UploadSecret(sha256(wire)); }

HttpReply plain_reply(unsigned status, std::string_view text) {
  HttpReply reply;
  reply.status = status;
  reply.body = to_bytes(text);
  return reply;
}

HttpReply cbor_reply(Bytes body, unsigned status) {
  HttpReply reply;
  reply.status = status;
  reply.content_type = cbor;
  reply.body = std::move(body);
  return reply;
}

HttpReply json_reply(std::string_view text, unsigned status) {
  HttpReply reply;
  reply.status = status;
  reply.content_type = json;
  reply.body = to_bytes(text);
  reply.body.push_back('\n');
  return reply;
}

HttpReply too_long_reply() { return plain_reply(413); }

HttpReply read_head(const HttpCall& call, std::uint64_t length) {
  HttpReply reply;
  reply.content_type = octets;
  if (call.range) {
    reply.status = 206;
    reply.headers.emplace_back("Content-Range", fmt::format("bytes {}-{}/*", call.range->begin,
                                                            call.range->begin + length - 1));
  }
  return reply;
}

HttpReply read_reply(const HttpCall& call, Bytes data) {
  if (data.empty() && call.range) {
    auto reply = plain_reply(204);
    reply.content_type = octets;
    return reply;
  }
  auto reply = read_head(call, data.size());
  reply.body = std::move(data);
  return reply;
}

HttpReply error_reply(const HttpCall& call, const Error& error) {
  HttpReply reply = plain_reply(status_of(call, error.code));
  // Tahoe's client looks at the type before it looks at the status.
  if (call.endpoint == Endpoint::read) reply.content_type = octets;
  // A person may read it; paths and numbers of ours are no business of clients.
  if (reply.status == 400 || reply.status >= 500) reply.body = to_bytes(describe(error.code));
  return reply;
}

std::string print_head(const HttpReply& reply, std::optional<std::uint64_t> length,
                       bool keep_alive) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", reply.status, reason_of(reply.status));
  if (reply.status != 204) {
    out +=
        length ? fmt::format("Content-Length: {}\r\n", *length) : "Transfer-Encoding: chunked\r\n";
  }
  if (!reply.content_type.empty()) out += "Content-Type: " + reply.content_type + "\r\n";
  for (const auto& [name, value] : reply.headers) out += name + ": " + value + "\r\n";
  if (!keep_alive) out += "Connection: close\r\n";
  return out + "\r\n";
}

}  // namespace lafs::grid::storage
