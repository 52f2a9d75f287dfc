// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/connection.h"

#include <openssl/ssl.h>

#include <boost/asio/connect.hpp>
#include <map>

#include "grid/base/log.h"
#include "grid/crypto/random.h"
#include "grid/storage/http_stream.h"
#include "grid/storage/tls.h"

namespace lafs::grid::introducer {

namespace {

namespace beast = storage::beast;
using storage::quietly;
using storage::tcp_of;
using storage::TlsStream;
using Tcp = asio::ip::tcp;

// A peer that says nothing is pinged after the first, and given up after the second.
constexpr auto quiet_before_ping = std::chrono::minutes(2);
constexpr auto quiet_before_end = std::chrono::minutes(5);
// What a peer may leave unread before it counts as stuck.
constexpr std::size_t most_unsent = 32u << 20;
constexpr std::size_t most_calls = 1000;

Error network_error(const beast::error_code& error, std::string_view what) {
  if (error == asio::error::operation_aborted) return {Errc::cancelled, {}};
  return {Errc::unreachable, std::string(what) + ": " + error.message()};
}

struct Offered {
  Connection::Handler handler;
  Reference reference;
  bool introduced = false;  // its interface was said
};

struct PendingCall {
  std::optional<Result<Value>> result;
};

}  // namespace

struct Connection::State {
  State(asio::any_io_executor executor_, TlsStream stream_)
      : executor(executor_), stream(std::move(stream_)), changed(executor_), tasks(executor_) {}

  Task<Result<std::string>> read_block();
  Task<Result<>> negotiate(const storage::Identity& identity, std::string expected_tub,
                           ConnectionLedger* counting);
  Task<> read_loop();
  Task<> write_loop();
  Task<> keep_alive();
  void hear(BananaReader::Event event);
  void answer(const Call& call);
  void resolve(std::int64_t request, Result<Value> result);
  void push(Bytes bytes);
  void end(Error error);

  asio::any_io_executor executor;
  storage::TlsContext tls;
  TlsStream stream;
  std::string peer_tub;
  std::string unread;  // of the negotiation, when more came than a block
  BananaReader reader{false};
  BananaWriter writer;
  Bytes unsent;
  std::map<std::int64_t, Offered> offered;
  std::map<std::string, std::int64_t, std::less<>> names;
  std::int64_t next_object = 1;
  std::map<std::int64_t, std::shared_ptr<PendingCall>> pending;
  std::int64_t next_request = 1;
  TimePoint last_heard = Clock::now();
  std::optional<Error> ended;
  std::function<void()> when_ended;
  ConnectionLedger* ledger = nullptr;
  std::uint64_t ledger_number = 0;
  Signal changed;  // an answer, something to send, or the end
  TaskGroup tasks;
};

std::string fresh_incarnation() { return to_hex(random_array<8>()); }

// ------------------------------------------------------------------------ beginning

Task<Result<std::string>> Connection::State::read_block() {
  while (true) {
    if (const auto end = unread.find("\r\n\r\n"); end != unread.npos) {
      auto block = unread.substr(0, end + 4);
      unread.erase(0, end + 4);
      co_return block;
    }
    if (unread.size() > largest_block)
      co_return fail(Errc::protocol, "Foolscap: no end of a block");
    std::array<char, 2048> some;
    auto [error, n] = co_await stream.async_read_some(asio::buffer(some), quietly);
    if (error) co_return std::unexpected(network_error(error, "negotiating"));
    unread.append(some.data(), n);
  }
}

Task<Result<>> Connection::State::negotiate(const storage::Identity& identity,
                                            std::string expected_tub, ConnectionLedger* counting) {
  const auto tub = storage::peer_tub_id(stream.native_handle());
  if (!tub) co_return fail(Errc::wrong_certificate, "the peer showed no certificate");
  if (!expected_tub.empty() && *tub != expected_tub)
    co_return fail(Errc::wrong_certificate, "the peer is " + *tub + ", not " + expected_tub);
  peer_tub = *tub;
  const auto incarnation = counting ? counting->own_incarnation() : fresh_incarnation();
  Negotiation talk(identity.tub_id(), peer_tub, incarnation, counting == nullptr);
  auto hello = talk.hello();
  auto [error, sent] = co_await asio::async_write(stream, asio::buffer(hello), quietly);
  if (error) co_return std::unexpected(network_error(error, "negotiating"));
  CO_TRY(heard, co_await read_block());
  CO_TRY(block, parse_block(heard));
  CO_TRY_DO(talk.heard_hello(block));
  if (!talk.master()) {
    CO_TRY(decided, co_await read_block());
    CO_TRY(decision, parse_block(decided));
    co_return talk.heard_decision(decision);
  }
  std::uint64_t number = 1;
  if (counting) {
    auto admitted = counting->admit(peer_tub, talk.peer_incarnation(), talk.peer_last());
    if (!admitted) {
      auto why = error_block(admitted.error().context);
      co_await asio::async_write(stream, asio::buffer(why), quietly);
      co_return std::unexpected(std::move(admitted.error()));
    }
    number = *admitted;
    ledger = counting;
    ledger_number = number;
  }
  auto decision = talk.decision(number);
  auto [failed, n] = co_await asio::async_write(stream, asio::buffer(decision), quietly);
  if (failed) co_return std::unexpected(network_error(failed, "negotiating"));
  co_return Result<>{};
}

namespace {

// Reads a plaintext head up to its blank line. The peer says nothing behind it before TLS begins.
Task<Result<std::string>> read_head(beast::tcp_stream& stream) {
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    if (head.size() > largest_block) co_return fail(Errc::protocol, "Foolscap: no end of a head");
    char c = 0;
    auto [error, n] = co_await stream.async_read_some(asio::buffer(&c, 1), quietly);
    if (error) co_return std::unexpected(network_error(error, "asking for TLS"));
    head.push_back(c);
  }
  co_return head;
}

Task<Result<beast::tcp_stream>> open_tcp(asio::any_io_executor executor,
                                         storage::Location location) {
  Tcp::resolver resolver(executor);
  auto [failed, found] =
      co_await resolver.async_resolve(location.host, std::to_string(location.port), quietly);
  if (failed) co_return fail(Errc::unreachable, location.host + ": " + failed.message());
  Tcp::socket socket(executor);
  auto [error, at] = co_await asio::async_connect(socket, found, quietly);
  if (error) {
    co_return std::unexpected(
        network_error(error, location.host + ":" + std::to_string(location.port)));
  }
  co_return beast::tcp_stream(std::move(socket));
}

}  // namespace

Task<Result<std::unique_ptr<Connection>>> Connection::connect(asio::any_io_executor executor,
                                                              const storage::Identity& identity,
                                                              storage::Furl furl, Duration limit) {
  const auto tub = base32(furl.tub_id);
  Error last{Errc::unsupported, "the address has no host that we can reach: " +
                                    (furl.hints.empty() ? "no hints" : furl.hints.front())};
  const auto one = [](asio::any_io_executor on, const storage::Identity& own,
                      storage::Location location,
                      std::string wanted) -> Task<Result<std::unique_ptr<Connection>>> {
    CO_TRY(tcp, co_await open_tcp(on, location));
    beast::error_code ignored;
    tcp.socket().set_option(Tcp::no_delay(true), ignored);
    auto request = upgrade_request(wanted, location.host);
    auto [error, n] = co_await asio::async_write(tcp, asio::buffer(request), quietly);
    if (error) co_return std::unexpected(network_error(error, "asking for TLS"));
    CO_TRY(head, co_await read_head(tcp));
    CO_TRY_DO(check_upgrade(head));
    auto context = storage::mutual_tls(own, false);
    auto* ssl = SSL_new(context.get());
    auto state = std::make_unique<State>(on, TlsStream(std::move(tcp), ssl));
    state->tls = std::move(context);
    auto [refused] =
        co_await state->stream.async_handshake(asio::ssl::stream_base::client, quietly);
    if (refused) co_return std::unexpected(network_error(refused, "TLS"));
    CO_TRY_DO(co_await state->negotiate(own, wanted, nullptr));
    co_return std::unique_ptr<Connection>(new Connection(std::move(state)));
  };
  const auto deadline = Clock::now() + limit;
  for (const auto& hint : furl.hints) {
    const auto location = storage::parse_hint(hint);
    if (!location || location->tor) continue;
    auto made = co_await within(deadline - Clock::now(), "connecting to " + location->host,
                                one(executor, identity, *location, tub));
    if (made) co_return made;
    last = std::move(made.error());
    const bool stop = co_await stop_requested();
    if (stop || Clock::now() >= deadline) break;
  }
  co_return std::unexpected(std::move(last));
}

Task<Result<std::unique_ptr<Connection>>> Connection::accept(asio::any_io_executor executor,
                                                             const storage::Identity& identity,
                                                             ConnectionLedger& ledger, int fd,
                                                             Duration limit) {
  Tcp::socket socket(executor);
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  beast::error_code error;
  socket.assign(address.ss_family == AF_INET6 ? Tcp::v6() : Tcp::v4(), fd, error);
  if (error) {
    ::close(fd);
    co_return std::unexpected(network_error(error, "accepting"));
  }
  socket.set_option(Tcp::no_delay(true), error);
  const auto talk = [](asio::any_io_executor on, const storage::Identity& own,
                       ConnectionLedger& counting,
                       beast::tcp_stream tcp) -> Task<Result<std::unique_ptr<Connection>>> {
    CO_TRY(head, co_await read_head(tcp));
    auto wanted = requested_tub(head);
    std::string reply(upgrade_answer);
    if (!wanted) reply = upgrade_refusal(wanted.error().context);
    if (wanted && *wanted != own.tub_id()) {
      reply = upgrade_refusal("unknown TubID " + wanted->substr(0, 64));
      wanted = fail(Errc::not_found, "a request for another tub");
    }
    auto [failed, n] = co_await asio::async_write(tcp, asio::buffer(reply), quietly);
    if (!wanted) co_return std::unexpected(std::move(wanted.error()));
    if (failed) co_return std::unexpected(network_error(failed, "answering"));
    auto context = storage::mutual_tls(own, true);
    auto* ssl = SSL_new(context.get());
    auto state = std::make_unique<State>(on, TlsStream(std::move(tcp), ssl));
    state->tls = std::move(context);
    auto [refused] =
        co_await state->stream.async_handshake(asio::ssl::stream_base::server, quietly);
    if (refused) co_return std::unexpected(network_error(refused, "TLS"));
    CO_TRY_DO(co_await state->negotiate(own, {}, &counting));
    co_return std::unique_ptr<Connection>(new Connection(std::move(state)));
  };
  auto task = talk(executor, identity, ledger, beast::tcp_stream(std::move(socket)));
  co_return co_await within(limit, "a peer's negotiation", std::move(task));
}

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}

Connection::~Connection() = default;

// ------------------------------------------------------------------------ running

void Connection::start() {
  state_->tasks.spawn(state_->read_loop());
  state_->tasks.spawn(state_->write_loop());
  state_->tasks.spawn(state_->keep_alive());
}

void Connection::State::end(Error error) {
  if (ended) return;
  ended = std::move(error);
  if (ledger) ledger->ended(peer_tub, ledger_number);
  tcp_of(stream).close();
  for (auto& [request, call] : pending) call->result = std::unexpected(*ended);
  pending.clear();
  changed.notify();
  if (when_ended) std::exchange(when_ended, nullptr)();
}

Task<> Connection::State::read_loop() {
  Bytes buffer(16 << 10);
  auto first = std::exchange(unread, {});
  ByteView fresh = as_bytes(first);
  while (!ended) {
    const auto fed =
        reader.feed(fresh, [this](BananaReader::Event event) { hear(std::move(event)); });
    if (!fed) {
      end(fed.error());
      break;
    }
    auto [error, n] = co_await stream.async_read_some(asio::buffer(buffer), quietly);
    if (error) {
      end(network_error(error, "the connection ended"));
      break;
    }
    last_heard = Clock::now();
    fresh = ByteView(buffer).first(n);
  }
}

Task<> Connection::State::write_loop() {
  while (!ended) {
    if (unsent.empty()) {
      co_await changed.wait();
      const bool stop = co_await stop_requested();
      if (stop) break;
      continue;
    }
    const auto sending = std::exchange(unsent, {});
    auto [error, n] = co_await asio::async_write(stream, asio::buffer(sending), quietly);
    if (error) end(network_error(error, "the connection ended"));
  }
}

Task<> Connection::State::keep_alive() {
  while (!ended) {
    co_await changed.wait(Clock::now() + quiet_before_ping / 2);
    const bool stop = co_await stop_requested();
    if (stop) break;
    const auto quiet = Clock::now() - last_heard;
    if (quiet > quiet_before_end) end({Errc::timed_out, "the peer is silent"});
    if (quiet > quiet_before_ping && unsent.empty()) push(BananaWriter::ping());
  }
}

void Connection::State::push(Bytes bytes) {
  if (ended) return;
  append(unsent, bytes);
  if (unsent.size() > most_unsent) end({Errc::timed_out, "the peer does not read"});
  changed.notify();
}

void Connection::State::hear(BananaReader::Event event) {
  if (ended) return;
  if (const auto* ping = std::get_if<BananaReader::Ping>(&event)) {
    push(BananaWriter::pong(ping->number));
    return;
  }
  auto message = parse_message(std::get<Value>(event));
  if (!message) {
    end(message.error());
  } else if (*message) {
    if (auto* call = std::get_if<Call>(&**message)) answer(*call);
    if (auto* result = std::get_if<Answer>(&**message)) resolve(result->request, result->value);
    if (auto* failure = std::get_if<Failure>(&**message)) {
      resolve(failure->request, fail(Errc::refused, failure->type + ": " + failure->text));
    }
  }
}

void Connection::State::resolve(std::int64_t request, Result<Value> result) {
  const auto it = pending.find(request);
  if (it == pending.end()) return;  // its caller has given up
  it->second->result = std::move(result);
  pending.erase(it);
  changed.notify();
}

void Connection::State::answer(const Call& call) {
  Result<Value> result = none();
  std::string failure = "foolscap.tokens.Violation";
  if (call.object == broker_object) {
    if (call.method == "getReferenceByName") {
      const auto* name = call.argument(0, "name");
      const auto* text = name ? name->text() : nullptr;
      const auto found = text ? names.find(*text) : names.end();
      if (found == names.end()) {
        failure = "builtins.KeyError";
        result = fail(Errc::not_found, "unable to find reference for name starting with '" +
                                           (text ? text->substr(0, 2) : std::string()) + "'");
      } else {
        auto& object = offered.at(found->second);
        auto said = object.reference;
        if (std::exchange(object.introduced, true)) said.interface = said.furl = {};
        result = reference(said);
      }
    } else if (call.method != "decref" && call.method != "decgift") {
      result = fail(Errc::unsupported, "no such method");
    }
  } else if (const auto it = offered.find(call.object); it != offered.end()) {
    result = it->second.handler(call);
  } else {
    result = fail(Errc::not_found, "no such object");
  }
  if (call.request == 0) return;
  if (!result && result.error().code == Errc::corrupt)
    failure = "allmydata.crypto.error.BadSignature";
  push(writer.write(result ? answer_message(call.request, std::move(*result))
                           : failure_message(call.request, failure, result.error().context)));
}

// ------------------------------------------------------------------------ for others

const std::string& Connection::peer_tub() const { return state_->peer_tub; }
bool Connection::alive() const { return !state_->ended; }
std::optional<Error> Connection::why_ended() const { return state_->ended; }

std::int64_t Connection::offer(Handler handler, std::string name, std::string interface,
                               std::string furl) {
  const auto object = state_->next_object++;
  if (!name.empty()) state_->names[std::move(name)] = object;
  Offered fresh;
  fresh.handler = std::move(handler);
  fresh.reference = {object, std::move(interface), std::move(furl)};
  state_->offered.emplace(object, std::move(fresh));
  return object;
}

Value Connection::pass(std::int64_t object) {
  auto& offered = state_->offered.at(object);
  offered.introduced = true;
  return reference(offered.reference);
}

Task<Result<Value>> Connection::call(std::int64_t object, std::string method,
                                     std::vector<Value> arguments, Duration limit) {
  auto& s = *state_;
  if (s.ended) co_return std::unexpected(*s.ended);
  if (s.pending.size() >= most_calls) co_return fail(Errc::busy, "too many calls are under way");
  Call call;
  call.request = s.next_request++;
  call.object = object;
  call.method = std::move(method);
  call.arguments = std::move(arguments);
  auto waiting = std::make_shared<PendingCall>();
  s.pending.emplace(call.request, waiting);
  s.push(s.writer.write(call_message(call)));
  const auto deadline = Clock::now() + limit;
  while (!waiting->result) {
    co_await s.changed.wait(deadline);
    const bool stop = co_await stop_requested();
    if (waiting->result) break;
    if (stop || Clock::now() >= deadline) {
      s.pending.erase(call.request);
      co_return fail(stop ? Errc::cancelled : Errc::timed_out, call.method);
    }
  }
  auto result = std::move(*waiting->result);
  if (!result) co_return annotate(std::move(result.error()), call.method);
  co_return result;
}

Task<Result<Reference>> Connection::find(std::string name, Duration limit) {
  std::vector<Value> arguments{Value(std::move(name))};
  CO_TRY(value, co_await call(broker_object, "getReferenceByName", std::move(arguments), limit));
  auto out = reference_of(value);
  if (!out) co_return fail(Errc::protocol, "Foolscap: no reference in the answer");
  co_return *out;
}

void Connection::when_ended(std::function<void()> then) { state_->when_ended = std::move(then); }

void Connection::drop() { state_->end({Errc::closed, "closed"}); }

Task<> Connection::close() {
  drop();
  state_->tasks.cancel();
  co_await state_->tasks.join();
}

}  // namespace lafs::grid::introducer
