// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/remote_server.h"

#include <fmt/format.h>

#include "grid/base/base32.h"
#include "grid/base/netstring.h"
#include "grid/storage/connections.h"
#include "grid/storage/http_date.h"
#include "grid/storage/messages.h"

namespace lafs::grid::storage {

namespace {

// Of replies whose size does not depend on what was asked.
constexpr std::uint64_t small_reply = 64 << 10;
constexpr std::uint64_t largest_reply = std::uint64_t{256} << 20;

std::string secret_line(std::string_view kind, const Secret32& secret) {
  return fmt::format("X-Tahoe-Authorization: {} {}\r\n", kind, base64(secret.view()));
}

std::string lease_lines(const LeaseSecrets& lease) {
  return secret_line("lease-renew-secret", lease.renew) +
         secret_line("lease-cancel-secret", lease.cancel);
}

std::string_view kind_path(ShareKind kind) {
  return kind == ShareKind::immutable ? "immutable" : "mutable";
}

// Printable ASCII only, and not much of it: it comes from the server.
std::string excerpt(ByteView body) {
  std::string out;
  for (auto c : body.first(std::min<std::size_t>(body.size(), 200))) {
    out += c >= ' ' && c < 0x7f ? static_cast<char>(c) : ' ';
  }
  return out;
}

// What a status other than the expected ones means. 409 is left to the verbs.
Errc code_of(unsigned status) {
  switch (status) {
    case 401:
      return Errc::unauthorized;
    case 404:
      return Errc::not_found;
    case 405:
    case 409:
      return Errc::refused;
    case 413:
      return Errc::too_large;
    case 416:
      return Errc::bad_range;
    case 503:
      return Errc::busy;
    case 507:
      return Errc::no_space;
    // Tahoe's server says 500 to a request it will not fulfil: no space for a lease, a storage
    // index that holds the other kind of share.
    default:
      return status >= 500 ? Errc::refused : Errc::protocol;
  }
}

std::unexpected<Error> refusal(const std::string& name, std::string_view verb,
                               const HttpAnswer& answer) {
  return fail(code_of(answer.status),
              fmt::format("{}: {}: status {} {}", name, verb, answer.status,
                          excerpt(answer.content_type == "text/html" ? Bytes{} : answer.body)));
}

std::unexpected<Error> nonsense(const std::string& name, std::string_view verb,
                                std::string_view what) {
  return fail(Errc::protocol, fmt::format("{}: {}: {}", name, verb, what));
}

bool is_cbor(const HttpAnswer& answer) {
  const auto type = std::string_view(answer.content_type);
  return type.substr(0, type.find(';')) == "application/cbor";
}

// "bytes A-B/*" with A as asked for and exactly the body's length.
bool range_fits(std::string_view range, std::uint64_t offset, std::uint64_t length) {
  constexpr std::string_view unit = "bytes ";
  if (!range.starts_with(unit)) return false;
  range.remove_prefix(unit.size());
  const auto dash = range.find('-');
  const auto slash = range.find('/');
  if (dash == range.npos || slash == range.npos || slash < dash) return false;
  return parse_decimal(range.substr(0, dash)) == offset &&
         parse_decimal(range.substr(dash + 1, slash - dash - 1)) == offset + length - 1;
}

// Decodes the body of a 2xx reply, or says what is wrong with the answer.
template <class Decode>
auto decoded(const std::string& name, std::string_view verb, const HttpAnswer& answer,
             Decode decode) -> decltype(decode(ByteView())) {
  if (answer.status < 200 || answer.status > 299) return refusal(name, verb, answer);
  if (!is_cbor(answer)) return nonsense(name, verb, "the reply is not CBOR");
  auto value = decode(answer.body);
  if (!value) return nonsense(name, verb, value.error().context);
  return value;
}

}  // namespace

RemoteServer::RemoteServer(asio::any_io_executor executor, Nurl nurl, Options options)
    : connections_(std::make_unique<Connections>(std::move(executor), std::move(nurl),
                                                 std::move(options))) {}
RemoteServer::RemoteServer(asio::any_io_executor executor, Nurl nurl)
    : RemoteServer(std::move(executor), std::move(nurl), Options{}) {}
RemoteServer::~RemoteServer() = default;

const Nurl& RemoteServer::nurl() const { return connections_->nurl(); }
std::size_t RemoteServer::open_connections() const { return connections_->open(); }
std::optional<std::chrono::seconds> RemoteServer::clock_ahead() const {
  return connections_->clock_ahead;
}
Task<> RemoteServer::close() { return connections_->close(); }

namespace {
// The head of a request; `body` is nothing where the method has none.
std::string head_of(std::string_view method, std::string_view path, const std::string& common,
                    std::string_view more = {}, std::optional<std::size_t> body = {}) {
  auto out = fmt::format("{} /storage/v1/{} HTTP/1.1\r\n{}{}", method, path, common, more);
  if (body) out += fmt::format("Content-Length: {}\r\n", *body);
  return out + "\r\n";
}
constexpr std::string_view cbor_line = "Content-Type: application/cbor\r\n";
}  // namespace

Task<Result<ServerVersion>> RemoteServer::version() {
  auto& c = *connections_;
  const auto report = c.report();
  HttpRequest request{head_of("GET", "version", c.common_headers(), report), {}, true, small_reply};
  CO_TRY(answer, co_await c.exchange(std::move(request)));
  if (answer.status == 200) c.reported(report);
  c.clock_ahead.reset();
  const auto now = std::chrono::system_clock::now();
  if (const auto theirs = parse_http_date(answer.date))
    c.clock_ahead = std::chrono::duration_cast<std::chrono::seconds>(*theirs - now);
  co_return decoded(c.name(), "version", answer, decode_version);
}

Task<Result<>> RemoteServer::add_lease(StorageIndex si, LeaseSecrets lease) {
  auto& c = *connections_;
  HttpRequest request{
      head_of("PUT", "lease/" + si.text(), c.common_headers(), lease_lines(lease), 0),
      {},
      true,
      small_reply};
  CO_TRY(answer, co_await c.exchange(std::move(request)));
  if (answer.status == 204) co_return Result<>{};
  co_return refusal(c.name(), "adding a lease", answer);
}

Task<Result<Allocation>> RemoteServer::allocate(StorageIndex si, std::set<ShareNo> numbers,
                                                std::uint64_t share_size, LeaseSecrets lease,
                                                UploadSecret upload) {
  auto& c = *connections_;
  const auto body = encode_allocate(numbers, share_size);
  const auto lines =
      lease_lines(lease) + secret_line("upload-secret", upload) + std::string(cbor_line);
  HttpRequest request{
      head_of("POST", "immutable/" + si.text(), c.common_headers(), lines, body.size()), body,
      false, small_reply};
  CO_TRY(answer, co_await c.exchange(std::move(request)));
  co_return decoded(c.name(), "allocating shares", answer, decode_allocation);
}

Task<Result<WriteProgress>> RemoteServer::write(StorageIndex si, ShareNo number,
                                                UploadSecret upload, std::uint64_t offset,
                                                ByteView data) {
  auto& c = *connections_;
  constexpr std::string_view verb = "writing a share";
  if (data.empty() || offset > UINT64_MAX - data.size()) {
    co_return fail(Errc::bad_range, "a write that HTTP cannot express");
  }
  const auto lines = fmt::format("Content-Range: bytes {}-{}/*\r\n{}", offset,
                                 offset + data.size() - 1, secret_line("upload-secret", upload));
  const auto path = fmt::format("immutable/{}/{}", si.text(), number.value);
  // The same bytes at the same place: writing them twice changes nothing.
  HttpRequest request{head_of("PATCH", path, c.common_headers(), lines, data.size()), data, true,
                      1 << 20};
  CO_TRY(answer, co_await c.exchange(std::move(request)));
  if (answer.status == 404 && answer.repeated) {
    // Perhaps the first attempt did arrive and was the last the share needed.
    CO_TRY(there, co_await list(ShareKind::immutable, si));
    if (there.contains(number)) co_return WriteProgress{true, {}};
  }
  if (answer.status == 409) co_return fail(Errc::conflict, c.name() + ": other bytes are there");
  CO_TRY(required, decoded(c.name(), verb, answer, decode_required));
  const bool complete = answer.status == 201;
  if (complete != required.empty()) {
    co_return nonsense(c.name(), verb, "status and gaps contradict each other");
  }
  co_return WriteProgress{complete, std::move(required)};
}

Task<Result<>> RemoteServer::abort(StorageIndex si, ShareNo number, UploadSecret upload) {
  auto& c = *connections_;
  const auto path = fmt::format("immutable/{}/{}/abort", si.text(), number.value);
  HttpRequest request{
      head_of("PUT", path, c.common_headers(), secret_line("upload-secret", upload), 0),
      {},
      false,
      small_reply};
  CO_TRY(answer, co_await c.exchange(std::move(request)));
  if (answer.status == 200) co_return Result<>{};
  co_return refusal(c.name(), "aborting an upload", answer);
}

Task<Result<std::set<ShareNo>>> RemoteServer::list(ShareKind kind, StorageIndex si) {
  auto& c = *connections_;
  const auto path = fmt::format("{}/{}/shares", kind_path(kind), si.text());
  HttpRequest request{head_of("GET", path, c.common_headers()), {}, true, small_reply};
  CO_TRY(answer, co_await c.exchange(std::move(request)));
  co_return decoded(c.name(), "listing shares", answer, decode_share_set);
}

Task<Result<Bytes>> RemoteServer::read(ShareKind kind, StorageIndex si, ShareNo number,
                                       std::uint64_t offset, std::uint64_t length) {
  auto& c = *connections_;
  constexpr std::string_view verb = "reading a share";
  if (length == 0 || offset == UINT64_MAX) co_return Bytes{};
  length = std::min(length, UINT64_MAX - offset);
  const auto path = fmt::format("{}/{}/{}", kind_path(kind), si.text(), number.value);
  const auto line = fmt::format("Range: bytes={}-{}\r\n", offset, offset + length - 1);
  HttpRequest request{head_of("GET", path, c.common_headers(), line), {}, true, length};
  CO_TRY(answer, co_await c.exchange(std::move(request)));
  if (answer.status == 204) co_return Bytes{};
  if (answer.status != 206) co_return refusal(c.name(), verb, answer);
  if (answer.body.empty() || !range_fits(answer.content_range, offset, answer.body.size())) {
    co_return nonsense(c.name(), verb, "the reply is not the range that was asked for");
  }
  co_return std::move(answer.body);
}

Task<Result<>> RemoteServer::advise_corrupt(ShareKind kind, StorageIndex si, ShareNo number,
                                            std::string reason) {
  auto& c = *connections_;
  const auto body = encode_reason(reason);
  const auto path = fmt::format("{}/{}/{}/corrupt", kind_path(kind), si.text(), number.value);
  HttpRequest request{head_of("POST", path, c.common_headers(), cbor_line, body.size()), body,
                      false, small_reply};
  CO_TRY(answer, co_await c.exchange(std::move(request)));
  if (answer.status == 200) co_return Result<>{};
  co_return refusal(c.name(), "reporting a damaged share", answer);
}

Task<Result<ReadTestWriteReply>> RemoteServer::read_test_write(StorageIndex si,
                                                               MutableSecrets secrets,
                                                               ReadTestWrite request) {
  auto& c = *connections_;
  // What the request may be answered with at most: every read, of as many shares as there can be.
  std::uint64_t limit = small_reply;
  for (const auto& read : request.reads) {
    limit = std::min(largest_reply, limit + std::min(read.size, largest_reply) * max_shares);
  }
  limit = std::min(largest_reply, limit + max_shares * (16 + 9 * request.reads.size()));
  const auto body = encode_read_test_write(request);
  request = ReadTestWrite();  // its contents are in the body now
  const auto lines = lease_lines(secrets.lease) +
                     secret_line("write-enabler", secrets.write_enabler) + std::string(cbor_line);
  const auto path = fmt::format("mutable/{}/read-test-write", si.text());
  HttpRequest post{head_of("POST", path, c.common_headers(), lines, body.size()), body, false,
                   limit};
  CO_TRY(answer, co_await c.exchange(std::move(post)));
  co_return decoded(c.name(), "writing mutable shares", answer, decode_reply);
}

}  // namespace lafs::grid::storage
