// SPDX-License-Identifier: Apache-2.0
#include "grid/server/http_session.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/string.hpp>

#include "grid/base/log.h"
#include "grid/storage/http_date.h"
#include "grid/storage/messages_json.h"

namespace lafs::grid::storage {

namespace {

namespace beast = boost::beast;

constexpr auto piece = PieceBuffers::piece;  // of a body that is passed on while it comes
constexpr std::size_t progress_step = 64 << 10;
// A rest of a body nobody wants is read to its end if it is no longer than this.
constexpr std::uint64_t most_drained = 8 << 20;
// Bodies up to this need not wait for room: the number of connections bounds them well enough.
constexpr std::uint64_t small_body = 64 << 10;
// A body of a reply that goes out in one piece with its head.
constexpr std::size_t joined_reply = 12 << 10;
// After so many requests without a pause others have their turn.
constexpr std::uint64_t fair_requests = 16;

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

// Hands the pieces of one body to the server, one at a time, without waiting for each.
class PieceWriter {
 public:
  PieceWriter(asio::any_io_executor executor, Server& server, const HttpCall& call)
      : server_(server), call_(call), task_(std::move(executor)) {}

  // Writes the first `size` bytes of the buffer, and gives that of the piece before for it (empty:
  // there was none). The caller has joined.
  void begin(std::uint64_t at, Bytes& buffer, std::size_t size) {
    std::swap(buffer, buffer_);
    task_.spawn(write(at, size));
  }
  // After everything.
  Bytes take_buffer() { return std::move(buffer_); }
  // Waits for the write under way. False when it failed.
  Task<bool> join() {
    co_await task_.join();
    co_return !last_ || *last_;
  }
  // The outcome of the last write, if there was one.
  const std::optional<Result<WriteProgress>>& last() const { return last_; }

 private:
  Task<> write(std::uint64_t at, std::size_t size) {
    const auto bytes = ByteView(buffer_).first(size);
    last_ = co_await server_.write(call_.si, call_.number, call_.upload, at, bytes);
  }

  Server& server_;
  const HttpCall& call_;
  Bytes buffer_;
  std::optional<Result<WriteProgress>> last_;
  TaskGroup task_;
};

}  // namespace

Task<std::optional<Limiter::Permit>> HttpSession::room_for(std::uint64_t bytes) {
  std::optional<Limiter::Permit> out;
  if (bytes > small_body) {
    auto permit = co_await context_.memory.acquire(bytes);
    out.emplace(std::move(permit));
  }
  co_return out;
}

Task<bool> HttpSession::wait_for_request() {
  if (buffer_.size() > 0) co_return true;
  buffer_.clear();
  buffer_.shrink_to_fit();
  peer_.set_deadline(context_.options.idle_timeout);
  const auto readable = co_await peer_.wait_readable();
  co_return readable.has_value();
}

Task<bool> HttpSession::serve_one() {
  const auto begin = Clock::now();
  RequestParser parser;
  parser.header_limit(largest_head);
  parser.body_limit(boost::none);  // each endpoint has its own
  peer_.set_deadline(context_.options.progress_timeout);
  endpoint_.reset();
  status_ = 0;
  keep_alive_ = false;
  if (auto head = co_await read_request_head(peer_, buffer_, parser); !head) {
    const bool too_long = head.error().code == Errc::too_large;
    const auto refusal = plain_reply(too_long ? 431 : 400);
    cut_short_ = true;
    if (too_long || head.error().code == Errc::protocol) (void)co_await reply(refusal);
    co_return false;
  }
  ++requests_;
  keep_alive_ = parser.get().keep_alive() && !context_.draining &&
                requests_ < context_.options.max_requests_per_connection;
  if (requests_ % fair_requests == 0) {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  }

  std::exception_ptr bug;
  Result<> answered;
  try {
    answered = co_await answer(parser);
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
    keep_alive_ = false;
    if (status_ == 0) {
      const auto sorry = plain_reply(500);
      (void)co_await reply(sorry);
    }
  }
  const std::chrono::duration<double> took = Clock::now() - begin;
  context_.figures.answered(endpoint_, status_, took.count());
  if (log::enabled(log::Level::debug)) {
    log::debug("request", {{"endpoint", name_of(endpoint_)},
                           {"status", std::uint64_t{status_}},
                           {"microseconds", static_cast<std::uint64_t>(took.count() * 1e6)}});
  }
  co_return answered&& keep_alive_;
}

Task<Result<>> HttpSession::send(std::string head, ByteView body) {
  context_.figures.sent(body.size());
  if (body.size() <= joined_reply) {
    head.append(as_text(body));
    body = {};
  }
  peer_.set_deadline(context_.options.progress_timeout);
  CO_TRY_DO(co_await peer_.write(as_bytes(head)));
  while (!body.empty()) {
    const auto part = body.first(std::min(body.size(), progress_step));
    peer_.set_deadline(context_.options.progress_timeout);
    CO_TRY_DO(co_await peer_.write(part));
    body = body.subspan(part.size());
  }
  co_return Result<>{};
}

Task<Result<>> HttpSession::reply(const HttpReply& r, bool head_only) {
  status_ = r.status;
  auto head = print_head(r, r.body.size(), keep_alive_);
  const auto body = head_only || r.status == 204 ? ByteView{} : ByteView(r.body);
  co_return co_await send(std::move(head), body);
}

// Only from who knows the swissnum: by now it has been checked.
void HttpSession::hear_report(const HttpHead& head) {
  const auto* text = head.find("X-Lafs-Report");
  const auto report = text ? ClientReport::parse(*text) : std::nullopt;
  if (!report) return;
  context_.figures.reported(*report);
  std::string errors;
  for (const auto& [name, count] : report->errors)
    errors += (errors.empty() ? "" : " ") + name + "=" + std::to_string(count);
  log::info("a client reports", {{"software", report->software}, {"errors", errors}});
}

Task<Result<>> HttpSession::answer(RequestParser& parser) {
  const auto head = head_of(parser);
  const bool waits = expects_continue(head);
  auto decision = context_.exchange.decide(head);
  const auto window = context_.options.progress_timeout;
  if (auto* refusal = std::get_if<HttpReply>(&decision)) {
    // Whoever waits for leave to send a body need not send it: what comes next is not known.
    RequestBody rest(peer_, buffer_, parser, window);
    const bool drain = !waits && rest.left().value_or(most_drained) <= most_drained;
    if (!drain && !rest.done()) hang_up();
    const bool head_only = head.method == "HEAD";
    CO_TRY_DO(co_await reply(*refusal, head_only));
    if (drain && !rest.done()) CO_TRY_DO(co_await rest.drain(most_drained));
    co_return Result<>{};
  }
  const auto& call = std::get<HttpCall>(decision);
  endpoint_ = call.endpoint;
  if (endpoint_ == Endpoint::version) hear_report(head);
  if (waits) {
    CO_TRY_DO(co_await peer_.write(as_bytes("HTTP/1.1 100 Continue\r\n\r\n")));
  }
  RequestBody body(peer_, buffer_, parser, window);
  if (call.endpoint == Endpoint::write) co_return co_await do_write(call, body);

  const auto expected = std::min(body.left().value_or(call.body_limit), call.body_limit);
  const auto memory = co_await room_for(expected);
  auto bytes = co_await body.read_all(call.body_limit);
  context_.figures.received(body.taken());
  if (!bytes) {
    if (bytes.error().code != Errc::too_large) co_return std::unexpected(bytes.error());
    hang_up();
    const auto refusal = too_long_reply();
    co_return co_await reply(refusal);
  }
  if (call.endpoint == Endpoint::read) co_return co_await do_read(call);
  const auto result = co_await do_small(call, std::move(*bytes));
  co_return co_await reply(result, call.head_only);
}

Task<HttpReply> HttpSession::do_small(const HttpCall& call, Bytes body) {
  auto& server = context_.server;
  const auto failed = [&](const Error& error) { return error_reply(call, error); };
  switch (call.endpoint) {
    case Endpoint::version: {
      auto version = co_await server.version();
      if (!version) co_return failed(version.error());
      auto reply = call.json_reply ? json_reply(version_json(*version))
                                   : cbor_reply(encode_version(*version));
      // So that whoever wonders can compare clocks.
      reply.headers.emplace_back("Date", http_date(std::chrono::system_clock::now()));
      co_return reply;
    }
    case Endpoint::add_lease: {
      auto done = co_await server.add_lease(call.si, call.lease);
      co_return done ? plain_reply(204) : failed(done.error());
    }
    case Endpoint::allocate: {
      auto request = call.json_body ? allocate_of_json(as_text(body)) : decode_allocate(body);
      if (!request) co_return failed(request.error());
      auto allocation = co_await server.allocate(call.si, std::move(request->numbers),
                                                 request->share_size, call.lease, call.upload);
      if (!allocation) co_return failed(allocation.error());
      co_return call.json_reply ? json_reply(allocation_json(*allocation))
                                : cbor_reply(encode_allocation(*allocation));
    }
    case Endpoint::abort: {
      auto done = co_await server.abort(call.si, call.number, call.upload);
      co_return done ? plain_reply(200) : failed(done.error());
    }
    case Endpoint::list: {
      auto numbers = co_await server.list(call.kind, call.si);
      if (!numbers) co_return failed(numbers.error());
      co_return call.json_reply ? json_reply(share_set_json(*numbers))
                                : cbor_reply(encode_share_set(*numbers));
    }
    case Endpoint::advise_corrupt: {
      auto reason = call.json_body ? reason_of_json(as_text(body)) : decode_reason(body);
      if (!reason) co_return failed(reason.error());
      auto done =
          co_await server.advise_corrupt(call.kind, call.si, call.number, std::move(*reason));
      co_return done ? plain_reply(200) : failed(done.error());
    }
    case Endpoint::read_test_write:
      co_return co_await do_read_test_write(call, std::move(body));
    case Endpoint::read:
    case Endpoint::write:
      break;  // see do_read, do_write
  }
  co_return plain_reply(500);
}

Task<HttpReply> HttpSession::do_read_test_write(const HttpCall& call, Bytes body) {
  auto request =
      call.json_body ? read_test_write_of_json(as_text(body)) : decode_read_test_write(body);
  if (!request) co_return error_reply(call, request.error());
  body = Bytes();  // its contents are in the request now
  // A few shares of one storage index are the rule; more than that is bounded by the disk server.
  std::uint64_t wanted = 0;
  for (const auto& read : request->reads) wanted += std::min<std::uint64_t>(read.size, 64 << 20);
  const auto memory = co_await room_for(2 * wanted);
  const MutableSecrets secrets{call.write_enabler, call.lease};
  auto done = co_await context_.server.read_test_write(call.si, secrets, std::move(*request));
  if (!done) co_return error_reply(call, done.error());
  co_return call.json_reply ? json_reply(reply_json(*done)) : cbor_reply(encode_reply(*done));
}

// The body goes to the server piece by piece, as on a Tahoe server: pieces before one that
// conflicts stay written. Bytes behind the range are ignored.
Task<Result<>> HttpSession::do_write(const HttpCall& call, RequestBody& body) {
  const ByteRange range = *call.range;
  const auto memory = co_await room_for(std::min<std::uint64_t>(range.size(), 2 * piece));
  HttpReply result = plain_reply(400, "The body is shorter than its Content-Range");
  // While one piece goes to the disk, the next one comes in.
  const auto executor = co_await asio::this_coro::executor;
  PieceWriter writer(executor, context_.server, call);
  Bytes buffer;
  Result<> received;
  bool too_short = false;
  for (auto at = range.begin; at < range.end;) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(range.end - at, piece));
    if (buffer.empty()) buffer = range.size() < piece / 2 ? Bytes(size) : context_.pieces.take();
    auto n = co_await body.read(MutableBytes(buffer).first(size));
    if (!n) received = std::unexpected(std::move(n).error());
    const bool good = co_await writer.join();
    if (!received || !good) break;
    context_.figures.received(*n);
    if (*n < size) {
      too_short = true;
      break;
    }
    writer.begin(at, buffer, size);
    at += *n;
    // More than the share holds: what comes after its last byte is an error of the next write.
  }
  co_await writer.join();
  context_.pieces.give(std::move(buffer));
  context_.pieces.give(writer.take_buffer());
  if (!received) co_return received;
  if (const auto& progress = writer.last()) {
    if (!*progress) {
      result = error_reply(call, progress->error());
    } else if (!too_short) {
      const auto& required = (*progress)->required;
      const unsigned status = (*progress)->complete ? 201 : 200;
      result = call.json_reply ? json_reply(required_json(required), status)
                               : cbor_reply(encode_required(required), status);
    }
  }
  const bool drain = body.left().value_or(most_drained) <= most_drained;
  if (!drain) hang_up();
  CO_TRY_DO(co_await reply(result));
  if (drain && !body.done()) CO_TRY_DO(co_await body.drain(most_drained));
  co_return Result<>{};
}

Task<Result<>> HttpSession::do_read(const HttpCall& call) {
  const ByteRange range = call.range.value_or(ByteRange{0, UINT64_MAX});
  const auto first_size = std::min<std::uint64_t>(range.size(), piece);
  // A slow reader keeps what it has asked for in our memory.
  const auto memory = co_await room_for(first_size);
  if (range.size() > first_size && !call.head_only) {
    CO_TRY(end, co_await end_of_read(call));
    const ByteRange there{range.begin, std::max(range.begin, std::min(range.end, end))};
    if (there.size() > first_size) {
      co_return co_await stream_share(call, there, !call.range.has_value());
    }
  }
  auto data =
      co_await context_.server.read(call.kind, call.si, call.number, range.begin, first_size);
  const auto result = data ? read_reply(call, std::move(*data)) : error_reply(call, data.error());
  co_return co_await reply(result, call.head_only);
}

// Where a long read ends: the interface has no verb for a share's length, so it is found by reading
// single bytes. An unreadable share "ends" at 0 and meets its error in the read that follows.
Task<Result<std::uint64_t>> HttpSession::end_of_read(const HttpCall& call) {
  const ByteRange range = call.range.value_or(ByteRange{0, std::uint64_t{1} << 62});
  std::uint64_t low = range.begin;  // there are bytes up to here
  std::uint64_t high = range.end;   // and none at or behind this
  std::uint64_t step = 4 * piece;
  bool bounded = false;
  while (low < high) {
    const auto guess = bounded ? low + (high - low) / 2 : std::min(high - 1, low + step);
    auto byte = co_await context_.server.read(call.kind, call.si, call.number, guess, 1);
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

Task<Result<>> HttpSession::stream_share(const HttpCall& call, ByteRange range, bool chunked) {
  const auto head = read_head(call, range.size());
  const auto length = chunked ? std::nullopt : std::optional(range.size());
  status_ = head.status;
  auto text = print_head(head, length, keep_alive_);
  for (auto at = range.begin; at < range.end;) {
    const auto size = std::min<std::uint64_t>(range.end - at, piece);
    CO_TRY(bytes, co_await context_.server.read(call.kind, call.si, call.number, at, size));
    // A mutable share may have shrunk: the promised length cannot be kept.
    if (bytes.size() != size) co_return fail(Errc::io, "the share changed while it was read");
    at += size;
    if (chunked) {
      char line[32];
      std::snprintf(line, sizeof line, "%llx\r\n", static_cast<unsigned long long>(size));
      text += line;
      append(bytes, as_bytes(at < range.end ? "\r\n" : "\r\n0\r\n\r\n"));
    }
    CO_TRY_DO(co_await send(std::exchange(text, {}), bytes));
  }
  co_return Result<>{};
}

}  // namespace lafs::grid::storage
