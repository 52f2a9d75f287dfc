// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/client.h"

#include <map>
#include <random>

#include "grid/base/log.h"
#include "grid/introducer/backoff.h"

namespace lafs::grid::introducer {

struct Client::State {
  State(asio::any_io_executor executor_, const storage::Identity& identity_, Options options_)
      : executor(executor_),
        identity(identity_),
        options(std::move(options_)),
        changed(executor_),
        tasks(executor_) {}

  Task<> follow();
  // The number of the introducer object.
  Task<Result<std::int64_t>> introduce(Connection& connection);
  Task<> attend(Connection& connection, std::int64_t object);
  Task<Result<>> publish(Connection& connection, std::int64_t object);
  Result<Value> announce(const Call& call);

  asio::any_io_executor executor;
  const storage::Identity& identity;
  Options options;
  Status status;
  bool attempted = false;
  bool publish_again = false;
  std::map<std::string, std::string> told;  // by key: the signature of what this connection heard
  bool closing = false;
  std::int64_t canary = 0;
  std::mt19937 chance{std::random_device{}()};
  Signal changed;
  TaskGroup tasks;
};

std::optional<SignedAnnouncement> announcement_of(const Value& tuple) {
  const auto* parts = tuple.sequence("tuple");
  if (!parts || parts->items.size() != 3) return std::nullopt;
  const auto *message = parts->items[0].bytes(), *signature = parts->items[1].bytes(),
             *key = parts->items[2].bytes();
  if (!message || !signature || !key) return std::nullopt;
  return SignedAnnouncement{*message, *signature, *key};
}

Value value_of(const SignedAnnouncement& announcement) {
  return sequence("tuple", {Value(announcement.message), Value(announcement.signature),
                            Value(announcement.key)});
}

Client::Client(asio::any_io_executor executor, const storage::Identity& identity, Options options)
    : state_(std::make_unique<State>(std::move(executor), identity, std::move(options))) {
  state_->status.petname = state_->options.petname;
  state_->status.tub_id = base32(state_->options.furl.tub_id);
  state_->status.why = not_tried_yet;
}

Client::~Client() = default;

void Client::start() { state_->tasks.spawn(state_->follow()); }

Client::Status Client::status() const { return state_->status; }

void Client::publish_again() {
  state_->publish_again = true;
  state_->changed.notify();
}

Task<> Client::first_attempt(TimePoint deadline) {
  while (!state_->attempted && Clock::now() < deadline) {
    co_await state_->changed.wait(deadline);
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
}

Task<> Client::close() {
  state_->closing = true;
  state_->changed.notify();
  state_->tasks.cancel();
  co_await state_->tasks.join();
}

Task<> Client::State::follow() {
  Backoff backoff;
  std::normal_distribution<double> bell;
  while (!closing) {
    auto connection =
        co_await Connection::connect(executor, identity, options.furl, std::chrono::seconds(60));
    Error reason = connection ? Error{Errc::cancelled, {}} : connection.error();
    if (connection) {
      auto& peer = **connection;
      peer.when_ended([this] { changed.notify(); });
      told.clear();
      auto introduced = co_await introduce(peer);
      if (introduced) {
        backoff.worked();
        status.connected = true;
        status.why.clear();
        attempted = true;
        changed.notify();
        log::info("introducer " + options.petname + ": connected");
        co_await attend(peer, *introduced);
        status.connected = false;
        if (auto why = peer.why_ended()) reason = *why;
      } else {
        reason = introduced.error();
      }
      co_await peer.close();
    }
    if (closing) break;
    status.why = reason.message();
    attempted = true;
    changed.notify();
    const auto wait = backoff.failed(bell(chance));
    log::info("introducer " + options.petname + ": " + status.why + "; trying again in " +
              std::to_string(static_cast<int>(wait.count())) + " s");
    co_await sleep_for(std::chrono::duration_cast<Duration>(wait));
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
}

Task<Result<>> Client::State::publish(Connection& connection, std::int64_t object) {
  if (!options.published) co_return Result<>{};
  for (const auto& announcement : options.published()) {
    auto& last = told[announcement.key];
    if (last == announcement.signature) continue;
    std::vector<Value> arguments{value_of(announcement), connection.pass(canary)};
    auto done =
        co_await connection.call(object, "publish_v2", std::move(arguments), options.call_limit);
    // One that is refused must not keep the others from being heard.
    if (!done && done.error().code != Errc::refused)
      co_return std::unexpected(std::move(done.error()));
    if (!done) log::warning("introducer " + options.petname + ": " + done.error().message());
    status.told += done.has_value();
    last = announcement.signature;
  }
  co_return Result<>{};
}

Task<Result<std::int64_t>> Client::State::introduce(Connection& connection) {
  // The canary's only use is that it goes away with us.
  canary = connection.offer([](const Call&) -> Result<Value> { return none(); });
  const auto subscriber = connection.offer([this](const Call& call) { return announce(call); }, {},
                                           std::string(subscriber_interface));
  connection.start();
  CO_TRY(found, co_await connection.find(options.furl.name, options.call_limit));
  CO_TRY(version, co_await connection.call(found.object, "get_version", {}, options.call_limit));
  const auto* dictionary = version.sequence("dict");
  if (!dictionary || !dictionary->find(protocol_version))
    co_return fail(Errc::unsupported, "the introducer does not speak version 2 of the protocol");
  CO_TRY_DO(co_await publish(connection, found.object));
  std::vector<Value> about{Value(std::string("app-versions")),     sequence("list"),
                           Value(std::string("my-version")),       unicode(options.version),
                           Value(std::string("nickname")),         unicode(options.nickname),
                           Value(std::string("oldest-supported")), unicode("1.0.0"),
                           Value(std::string("version")),          Value(std::int64_t{0})};
  std::vector<Value> arguments{connection.pass(subscriber), Value(std::string("storage")),
                               sequence("dict", std::move(about))};
  CO_TRY_DO(co_await connection.call(found.object, "subscribe_v2", std::move(arguments),
                                     options.call_limit));
  co_return found.object;
}

// Publishes again when asked to, until the connection ends.
Task<> Client::State::attend(Connection& connection, std::int64_t object) {
  while (connection.alive() && !closing) {
    if (std::exchange(publish_again, false)) {
      auto done = co_await publish(connection, object);
      if (!done) log::info("introducer " + options.petname + ": " + done.error().message());
      continue;
    }
    co_await changed.wait();
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
}

Result<Value> Client::State::announce(const Call& call) {
  if (call.method != "announce_v2") return fail(Errc::unsupported, "no such method");
  const auto* argument = call.argument(0, "announcements");
  const auto* set = argument ? argument->any_sequence() : nullptr;
  if (!set) return fail(Errc::protocol, "announcements are a set");
  for (const auto& item : set->items) {
    auto from = announcement_of(item);
    if (!from) continue;
    auto announcement = verify(*from);
    if (!announcement) {
      ++status.refused;
      log::warning("introducer " + options.petname + ": " + announcement.error().message());
      continue;
    }
    if (announcement->service != "storage") continue;
    ++status.heard;
    if (options.heard) options.heard(std::move(*announcement), std::move(*from));
  }
  return none();
}

}  // namespace lafs::grid::introducer
