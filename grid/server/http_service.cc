// SPDX-License-Identifier: Apache-2.0
#include "grid/server/http_service.h"

#include <openssl/ssl.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <list>

#include "grid/base/log.h"
#include "grid/server/http_exchange.h"
#include "grid/storage/http_stream.h"
#include "grid/storage/tls.h"

namespace lafs::grid::storage {

namespace {

using Tcp = asio::ip::tcp;
using RequestParser = http::request_parser<http::buffer_body>;
using RequestBody = BodyReader<true>;

constexpr std::size_t piece = 1 << 20;  // of a body that is passed on while it comes
// A rest of a body nobody wants is read to its end if it is no longer than this.
constexpr std::uint64_t most_drained = 8 << 20;
constexpr std::string_view foolscap_greeting = "GET /id/";
constexpr std::string_view foolscap_refusal =
    "HTTP/1.1 500 Internal Server Error: this server speaks the HTTP storage protocol only\r\n\r\n";

HttpHead head_of(const RequestParser& parser) {
  const auto& message = parser.get();
  HttpHead head;
  head.method = message.method_string();
  head.target = message.target();
  for (const auto& field : message) head.headers.emplace_back(field.name_string(), field.value());
  if (parser.content_length()) head.content_length = *parser.content_length();
  return head;
}

bool expects_continue(const HttpHead& head) {
  const auto* expect = head.find("Expect");
  return expect && beast::iequals(*expect, "100-continue");
}

}  // namespace

struct HttpService::State {
  State(asio::any_io_executor e, Server& s, const Identity& identity, Options o)
      : executor(e),
        server(s),
        options(std::move(o)),
        exchange(options.swissnum, options.max_mutable_request),
        tls(server_tls(identity)),
        body_memory(e, options.body_memory),
        tasks(e) {}

  struct Connection {
    explicit Connection(TlsStream s) : stream(std::move(s)) {}
    TlsStream stream;
    beast::flat_buffer buffer;
    std::list<Connection*>::iterator place;
    bool idle = false;
    // Of the request being answered.
    bool keep_alive = false;
  };

  // A connection is on the list of the busy or of the idle ones for as long as it exists.
  struct Listed {
    Listed(State& s, Connection& of) : state(s), c(of) {
      c.place = state.busy.insert(state.busy.end(), &c);
    }
    ~Listed() { (c.idle ? state.idle : state.busy).erase(c.place); }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;
    State& state;
    Connection& c;
  };

  Task<> accept_from(Tcp::acceptor& acceptor);
  Task<> serve(Tcp::socket socket);
  Task<bool> greet(Connection& c);
  Task<bool> serve_one(Connection& c);
  Task<Result<>> answer(Connection& c, RequestParser& parser);
  Task<Result<>> reply(Connection& c, const HttpReply& reply, bool head_only = false);

  // One per way of handling a body. An error means that the connection is of no use any more.
  Task<Result<>> do_write(Connection& c, const HttpCall& call, RequestBody& body);
  Task<Result<>> do_read(Connection& c, const HttpCall& call);
  Task<HttpReply> do_small(const HttpCall& call, Bytes body);
  Task<Result<std::uint64_t>> end_of_read(const HttpCall& call);
  Task<Result<>> stream_share(Connection& c, const HttpCall& call, ByteRange range, bool chunked);

  void set_idle(Connection& c, bool idle);
  void make_room();

  asio::any_io_executor executor;
  Server& server;
  Options options;
  HttpExchange exchange;
  TlsContext tls;
  Limiter body_memory;
  std::list<Tcp::acceptor> acceptors;
  std::list<Connection*> busy;
  std::list<Connection*> idle;  // longest idle first
  bool closing = false;
  TaskGroup tasks;
};

HttpService::HttpService(asio::any_io_executor executor, Server& server, const Identity& identity,
                         Options options)
    : state_(std::make_unique<State>(std::move(executor), server, identity, std::move(options))) {}

HttpService::~HttpService() = default;

std::size_t HttpService::connections() const { return state_->busy.size() + state_->idle.size(); }

Task<Result<std::uint16_t>> HttpService::listen(std::string address, std::uint16_t port) {
  State& s = *state_;
  beast::error_code error;
  const auto where = asio::ip::make_address(address, error);
  if (error) co_return fail(Errc::bad_argument, "not an IP address: " + address);
  const Tcp::endpoint endpoint(where, port);
  Tcp::acceptor acceptor(s.executor);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error && where.is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    const auto code = error == asio::error::address_in_use  ? Errc::busy
                      : error == asio::error::access_denied ? Errc::access_denied
                                                            : Errc::io;
    co_return fail(
        code, "listening on " + address + " port " + std::to_string(port) + ": " + error.message());
  }
  const auto actual = acceptor.local_endpoint().port();
  s.acceptors.push_back(std::move(acceptor));
  s.tasks.spawn(s.accept_from(s.acceptors.back()));
  co_return actual;
}

Task<> HttpService::close() {
  State& s = *state_;
  s.closing = true;
  beast::error_code ignored;
  for (auto& acceptor : s.acceptors) acceptor.close(ignored);
  for (auto* connections : {&s.busy, &s.idle}) {
    for (auto* c : *connections) tcp_of(c->stream).close();
  }
  s.tasks.cancel();
  co_await s.tasks.join();
}

Task<> HttpService::State::accept_from(Tcp::acceptor& acceptor) {
  while (!closing) {
    auto [error, socket] = co_await acceptor.async_accept(quietly);
    if (closing || !acceptor.is_open()) break;
    if (error) {
      // Out of descriptors, most likely: give connections time to end.
      log::warning("accepting a connection: " + error.message());
      co_await sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    if (busy.size() + idle.size() >= options.max_connections) {
      if (idle.empty()) continue;  // and the new one is dropped
      make_room();
    }
    tasks.spawn(serve(std::move(socket)));
  }
}

void HttpService::State::make_room() {
  auto* longest = idle.front();
  set_idle(*longest, false);
  tcp_of(longest->stream).close();
}

void HttpService::State::set_idle(Connection& c, bool now_idle) {
  if (c.idle == now_idle) return;
  (c.idle ? idle : busy).erase(c.place);
  auto& to = now_idle ? idle : busy;
  c.place = to.insert(to.end(), &c);
  c.idle = now_idle;
}

Task<> HttpService::State::serve(Tcp::socket socket) {
  beast::error_code ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  Connection c(TlsStream(beast::tcp_stream(std::move(socket)), SSL_new(tls.get())));
  const Listed listed(*this, c);
  bool more = co_await greet(c);
  const bool secured = more;
  while (more && !closing) more = co_await serve_one(c);
  if (secured && !closing && tcp_of(c.stream).socket().is_open()) {
    // close_notify, so that the client knows that this was no accident.
    tcp_of(c.stream).expires_after(std::chrono::seconds(2));
    co_await c.stream.async_shutdown(quietly);
  }
}

// The first bytes tell TLS from Foolscap, which we refuse as a Foolscap server would.
Task<bool> HttpService::State::greet(Connection& c) {
  auto& tcp = tcp_of(c.stream);
  tcp.expires_after(options.progress_timeout);
  std::array<char, foolscap_greeting.size()> first;
  std::size_t have = 0;
  while (have < first.size()) {
    const auto room = asio::buffer(first.data() + have, first.size() - have);
    auto [error, n] = co_await tcp.async_read_some(room, quietly);
    if (error) co_return false;
    have += n;
  }
  if (std::string_view(first.data(), have) == foolscap_greeting) {
    co_await asio::async_write(tcp, asio::buffer(foolscap_refusal), quietly);
    beast::error_code ignored;
    tcp.socket().shutdown(Tcp::socket::shutdown_send, ignored);
    // What the peer still sends is read, or a reset would overtake the refusal.
    std::array<char, 512> rest;
    for (int i = 0; i < 8; ++i) {
      auto [error, n] = co_await tcp.async_read_some(asio::buffer(rest), quietly);
      if (error) break;
    }
    co_return false;
  }
  auto [error, used] = co_await c.stream.async_handshake(asio::ssl::stream_base::server,
                                                         asio::buffer(first), quietly);
  co_return !error;
}

// One request and its reply. False: the connection is over.
Task<bool> HttpService::State::serve_one(Connection& c) {
  RequestParser parser;
  parser.header_limit(largest_head);
  parser.body_limit(boost::none);  // each endpoint has its own
  if (c.buffer.size() == 0) {
    set_idle(c, true);
    tcp_of(c.stream).expires_after(options.idle_timeout);
    // The first bytes of a request may take their time, the rest of its head may not.
    auto [error, n] = co_await c.stream.async_read_some(c.buffer.prepare(4096), quietly);
    if (error || closing) co_return false;
    c.buffer.commit(n);
    set_idle(c, false);
  }
  tcp_of(c.stream).expires_after(options.progress_timeout);
  auto [error, n] = co_await http::async_read_header(c.stream, c.buffer, parser, quietly);
  if (error) {
    const bool too_long =
        error == http::error::header_limit || error == http::error::buffer_overflow;
    c.keep_alive = false;
    const auto refusal = plain_reply(too_long ? 431 : 400);
    if (network_error(error).code == Errc::protocol) (void)co_await reply(c, refusal);
    co_return false;
  }
  c.keep_alive = parser.get().keep_alive();

  std::exception_ptr bug;
  Result<> answered;
  try {
    answered = co_await answer(c, parser);
  } catch (...) {
    bug = std::current_exception();
  }
  if (bug) {
    try {
      std::rethrow_exception(bug);
    } catch (const std::exception& e) {
      log::error(std::string("bug: exception while answering a storage request: ") + e.what());
    } catch (...) {
      log::error("bug: unknown exception while answering a storage request");
    }
    c.keep_alive = false;
    const auto sorry = plain_reply(500);
    (void)co_await reply(c, sorry);
    co_return false;
  }
  co_return answered&& c.keep_alive;
}

Task<Result<>> HttpService::State::reply(Connection& c, const HttpReply& r, bool head_only) {
  auto head = print_head(r, r.body.size(), c.keep_alive);
  const auto body = head_only || r.status == 204 ? ByteView{} : ByteView(r.body);
  co_return co_await send(c.stream, std::move(head), body, options.progress_timeout);
}

Task<Result<>> HttpService::State::answer(Connection& c, RequestParser& parser) {
  const auto head = head_of(parser);
  const bool waits = expects_continue(head);
  auto decision = exchange.decide(head);
  if (auto* refusal = std::get_if<HttpReply>(&decision)) {
    // Whoever waits for leave to send a body need not send it: what comes next is not known.
    RequestBody rest(c.stream, c.buffer, parser, options.progress_timeout);
    const bool drain = !waits && rest.left().value_or(most_drained) <= most_drained;
    if (!drain && !rest.done()) c.keep_alive = false;
    const bool head_only = head.method == "HEAD";
    CO_TRY_DO(co_await reply(c, *refusal, head_only));
    if (drain && !rest.done()) CO_TRY_DO(co_await read_body(rest, most_drained));
    co_return Result<>{};
  }
  const auto& call = std::get<HttpCall>(decision);
  if (waits) {
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    CO_TRY_DO(co_await send(c.stream, go_on, {}, options.progress_timeout));
  }
  RequestBody body(c.stream, c.buffer, parser, options.progress_timeout);
  if (call.endpoint == Endpoint::write) co_return co_await do_write(c, call, body);

  const auto expected = std::min(body.left().value_or(call.body_limit), call.body_limit);
  const auto memory = co_await body_memory.acquire(expected);
  auto bytes = co_await read_body(body, call.body_limit);
  if (!bytes) {
    if (bytes.error().code != Errc::too_large) co_return std::unexpected(bytes.error());
    c.keep_alive = false;
    const auto refusal = too_long_reply();
    co_return co_await reply(c, refusal);
  }
  if (call.endpoint == Endpoint::read) co_return co_await do_read(c, call);
  const auto result = co_await do_small(call, std::move(*bytes));
  co_return co_await reply(c, result, call.head_only);
}

Task<HttpReply> HttpService::State::do_small(const HttpCall& call, Bytes body) {
  const auto failed = [&](Error error) { return error_reply(call, error); };
  switch (call.endpoint) {
    case Endpoint::version: {
      auto version = co_await server.version();
      co_return version ? cbor_reply(encode_version(*version)) : failed(version.error());
    }
    case Endpoint::add_lease: {
      auto done = co_await server.add_lease(call.si, call.lease);
      co_return done ? plain_reply(204) : failed(done.error());
    }
    case Endpoint::allocate: {
      auto request = decode_allocate(body);
      if (!request) co_return failed(request.error());
      auto allocation = co_await server.allocate(call.si, std::move(request->numbers),
                                                 request->share_size, call.lease, call.upload);
      co_return allocation ? cbor_reply(encode_allocation(*allocation))
                           : failed(allocation.error());
    }
    case Endpoint::abort: {
      auto done = co_await server.abort(call.si, call.number, call.upload);
      co_return done ? plain_reply(200) : failed(done.error());
    }
    case Endpoint::list: {
      auto numbers = co_await server.list(call.kind, call.si);
      co_return numbers ? cbor_reply(encode_share_set(*numbers)) : failed(numbers.error());
    }
    case Endpoint::advise_corrupt: {
      auto reason = decode_reason(body);
      if (!reason) co_return failed(reason.error());
      auto done =
          co_await server.advise_corrupt(call.kind, call.si, call.number, std::move(*reason));
      co_return done ? plain_reply(200) : failed(done.error());
    }
    case Endpoint::read_test_write: {
      auto request = decode_read_test_write(body);
      if (!request) co_return failed(request.error());
      body = Bytes();  // its contents are in the request now
      const MutableSecrets secrets{call.write_enabler, call.lease};
      auto done = co_await server.read_test_write(call.si, secrets, std::move(*request));
      co_return done ? cbor_reply(encode_reply(*done)) : failed(done.error());
    }
    case Endpoint::read:
    case Endpoint::write:
      break;  // see do_read, do_write
  }
  co_return plain_reply(500);
}

// The body goes to the server piece by piece, as on a Tahoe server: pieces before one that
// conflicts stay written. Bytes behind the range are ignored.
Task<Result<>> HttpService::State::do_write(Connection& c, const HttpCall& call,
                                            RequestBody& body) {
  const ByteRange range = *call.range;
  const auto memory = co_await body_memory.acquire(std::min<std::uint64_t>(range.size(), piece));
  HttpReply result = plain_reply(400, "The body is shorter than its Content-Range");
  Bytes bytes;
  for (auto at = range.begin; at < range.end;) {
    bytes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(range.end - at, piece)));
    CO_TRY(n, co_await body.read(bytes));
    if (n < bytes.size()) break;
    auto progress = co_await server.write(call.si, call.number, call.upload, at, bytes);
    if (!progress) {
      result = error_reply(call, progress.error());
      break;
    }
    result = cbor_reply(encode_required(progress->required), progress->complete ? 201 : 200);
    at += n;
    // More than the share holds: what comes after its last byte is an error of the next write.
  }
  const bool drain = body.left().value_or(most_drained) <= most_drained;
  if (!drain) c.keep_alive = false;
  CO_TRY_DO(co_await reply(c, result));
  if (drain && !body.done()) CO_TRY_DO(co_await read_body(body, most_drained));
  co_return Result<>{};
}

Task<Result<>> HttpService::State::do_read(Connection& c, const HttpCall& call) {
  const ByteRange range = call.range.value_or(ByteRange{0, UINT64_MAX});
  const auto first_size = std::min<std::uint64_t>(range.size(), 4 * piece);
  if (range.size() > first_size && !call.head_only) {
    CO_TRY(end, co_await end_of_read(call));
    const ByteRange there{range.begin, std::max(range.begin, std::min(range.end, end))};
    if (there.size() > first_size) {
      co_return co_await stream_share(c, call, there, !call.range.has_value());
    }
  }
  auto data = co_await server.read(call.kind, call.si, call.number, range.begin, first_size);
  const auto result = data ? read_reply(call, std::move(*data)) : error_reply(call, data.error());
  co_return co_await reply(c, result, call.head_only);
}

// Where a long read ends: the interface has no verb for a share's length, so it is found by reading
// single bytes. An unreadable share "ends" at 0 and meets its error in the read that follows.
Task<Result<std::uint64_t>> HttpService::State::end_of_read(const HttpCall& call) {
  const ByteRange range = call.range.value_or(ByteRange{0, std::uint64_t{1} << 62});
  std::uint64_t low = range.begin;  // there are bytes up to here
  std::uint64_t high = range.end;   // and none at or behind this
  std::uint64_t step = 4 * piece;
  bool bounded = false;
  while (low < high) {
    const auto guess = bounded ? low + (high - low) / 2 : std::min(high - 1, low + step);
    auto byte = co_await server.read(call.kind, call.si, call.number, guess, 1);
    if (!byte) co_return 0;
    if (byte->empty()) {
      high = guess;
      bounded = true;
    } else {
      low = guess + 1;
      step *= 2;
    }
  }
  co_return low;
}

Task<Result<>> HttpService::State::stream_share(Connection& c, const HttpCall& call,
                                                ByteRange range, bool chunked) {
  const auto head = read_head(call, range.size());
  const auto length = chunked ? std::nullopt : std::optional(range.size());
  auto text = print_head(head, length, c.keep_alive);
  for (auto at = range.begin; at < range.end;) {
    const auto size = std::min<std::uint64_t>(range.end - at, piece);
    CO_TRY(bytes, co_await server.read(call.kind, call.si, call.number, at, size));
    // A mutable share may have shrunk: the promised length cannot be kept.
    if (bytes.size() != size) co_return fail(Errc::io, "the share changed while it was read");
    at += size;
    if (chunked) {
      char line[32];
      std::snprintf(line, sizeof line, "%llx\r\n", static_cast<unsigned long long>(size));
      text += line;
      append(bytes, as_bytes(at < range.end ? "\r\n" : "\r\n0\r\n\r\n"));
    }
    CO_TRY_DO(co_await send(c.stream, std::exchange(text, {}), bytes, options.progress_timeout));
  }
  co_return Result<>{};
}

}  // namespace lafs::grid::storage
