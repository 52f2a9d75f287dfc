// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/connection.h"

#include "grid/base/log.h"
#include "grid/crypto/random.h"
#include "grid/introducer/connection_state.h"

namespace lafs::grid::introducer {

using storage::quietly;
using storage::tcp_of;

namespace {

// A peer that says nothing is pinged after the first, and given up after the second.
constexpr auto quiet_before_ping = std::chrono::minutes(2);
constexpr auto quiet_before_end = std::chrono::minutes(5);
// What a peer may leave unread before it counts as stuck.
constexpr std::size_t most_unsent = 32u << 20;
constexpr std::size_t most_calls = 1000;

}  // namespace

std::string fresh_incarnation() { return to_hex(random_array<8>()); }

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
