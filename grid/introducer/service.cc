// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/service.h"

#include <unistd.h>

#include <algorithm>
#include <list>

#include "grid/base/log.h"
#include "grid/base/tcp_listener.h"
#include "grid/node_dir/files.h"

namespace lafs::grid::introducer {

namespace {

constexpr auto time_to_negotiate = std::chrono::seconds(120);
constexpr auto time_to_answer = std::chrono::seconds(60);
// Many announcements at once are told in portions, so that no message grows without bound.
constexpr std::size_t announcements_at_once = 500;
// What was heard is saved this long after the first change, so that a storm is one write.
constexpr auto save_after = std::chrono::milliseconds(200);
constexpr std::size_t largest_state = 256u << 20;

}  // namespace

struct Service::State {
  // One connected client.
  struct Peer {
    explicit Peer(asio::any_io_executor executor) : changed(std::move(executor)) {}
    std::unique_ptr<Connection> connection;
    std::optional<std::int64_t> subscriber;  // its object, once it subscribed
    std::vector<SignedAnnouncement> untold;
    Signal changed;
  };

  State(asio::any_io_executor executor_, const storage::Identity& identity_, Options options_)
      : executor(executor_),
        identity(identity_),
        options(std::move(options_)),
        ledger(fresh_incarnation()),
        dirty(executor_),
        tasks(executor_),
        listener(executor_, [this](int fd) { accepted(fd); }) {}

  struct Other {
    std::string petname;
    storage::Furl furl;
    std::unique_ptr<Client> client;
  };

  static Task<> leave(std::unique_ptr<Client> client);
  void accepted(int fd);
  Task<> serve(int fd);
  Task<> tell(std::shared_ptr<Peer> peer);
  Task<> save();
  Result<Value> answer(const std::shared_ptr<Peer>& peer, const Call& call);
  void heard(Announcement announcement, SignedAnnouncement proof);
  std::vector<SignedAnnouncement> all() const;

  asio::any_io_executor executor;
  const storage::Identity& identity;
  const storage::Identity caller = storage::Identity::for_this_process();  // to other introducers
  Options options;
  ConnectionLedger ledger;
  Book book;
  std::list<std::shared_ptr<Peer>> peers;
  std::list<Other> others;
  bool unsaved = false;
  bool closing = false;
  Signal dirty;
  TaskGroup tasks;
  TcpListener listener;
};

Service::Service(asio::any_io_executor executor, const storage::Identity& identity, Options options)
    : state_(std::make_unique<State>(std::move(executor), identity, std::move(options))) {}

Service::~Service() = default;

Result<> Service::load() {
  auto text = read_small_file(state_->options.state_file, largest_state);
  if (!text && text.error().code == Errc::not_found) return {};
  if (!text) return std::unexpected(text.error());
  TRY(book, Book::from_yaml(*text, state_->options.state_file.string()));
  state_->book = std::move(book);
  return {};
}

Result<std::uint16_t> Service::listen(const std::string& address, std::uint16_t port) {
  return state_->listener.listen(address, port);
}

void Service::start() {
  set_peers(std::move(state_->options.peers));
  state_->tasks.spawn(state_->save());
}

void Service::set_peers(std::vector<Client::Options> peers) {
  auto& s = *state_;
  auto before = std::exchange(s.others, {});
  for (auto& peer : peers) {
    const auto same = std::ranges::find_if(before, [&](const State::Other& other) {
      return other.petname == peer.petname && other.furl == peer.furl;
    });
    if (same != before.end()) {
      s.others.splice(s.others.end(), before, same);
      continue;
    }
    peer.published = [&s] { return s.all(); };
    peer.heard = [&s](Announcement announcement, SignedAnnouncement proof) {
      s.heard(std::move(announcement), std::move(proof));
    };
    s.others.push_back({peer.petname, peer.furl, nullptr});
    s.others.back().client = std::make_unique<Client>(s.executor, s.caller, std::move(peer));
    s.others.back().client->start();
  }
  for (auto& other : before) s.tasks.spawn(State::leave(std::move(other.client)));
}

Task<> Service::State::leave(std::unique_ptr<Client> client) { co_await client->close(); }

Service::Status Service::status() const {
  Status out;
  out.connections = state_->peers.size();
  for (const auto& peer : state_->peers) out.subscribers += peer->subscriber.has_value();
  out.announcements = state_->book.size();
  for (const auto& other : state_->others) out.peers.push_back(other.client->status());
  return out;
}

const Book& Service::book() const { return state_->book; }

Task<> Service::close() {
  auto& s = *state_;
  s.closing = true;
  co_await s.listener.close();
  for (auto& other : s.others) co_await other.client->close();
  for (auto& peer : s.peers) peer->changed.notify();
  s.dirty.notify();
  s.tasks.cancel();
  co_await s.tasks.join();
}

std::vector<SignedAnnouncement> Service::State::all() const {
  std::vector<SignedAnnouncement> out;
  for (const auto* entry : book.entries()) {
    if (entry->proof) out.push_back(*entry->proof);
  }
  return out;
}

void Service::State::heard(Announcement announcement, SignedAnnouncement proof) {
  const auto who = announcement.server_id + " (" + announcement.nickname + ")";
  const auto verdict = book.add(std::move(announcement), proof);
  if (verdict == Book::Verdict::full) log::warning("too many servers; not taking " + who);
  if (verdict != Book::Verdict::fresh) return;
  log::info("announced: " + who);
  for (auto& peer : peers) {
    if (!peer->subscriber) continue;
    peer->untold.push_back(proof);
    peer->changed.notify();
  }
  for (auto& other : others) other.client->publish_again();
  unsaved = true;
  dirty.notify();
}

Task<> Service::State::save() {
  while (true) {
    if (!unsaved) {
      if (closing) break;
      co_await dirty.wait();
      continue;
    }
    if (!closing) co_await sleep_for(save_after);
    unsaved = false;
    auto saved = replace_file(options.state_file, book.to_yaml(), private_file);
    if (!saved) log::error("what was announced could not be saved: " + saved.error().message());
  }
}

void Service::State::accepted(int fd) {
  // One more than there is room for is dropped; its client comes again.
  if (closing || tasks.running() >= options.max_connections) {
    ::close(fd);
    return;
  }
  tasks.spawn(serve(fd));
}

Task<> Service::State::serve(int fd) {
  auto accepted = co_await Connection::accept(executor, identity, ledger, fd, time_to_negotiate);
  if (!accepted) {
    log::debug("a connection was not made: " + accepted.error().message());
    co_return;
  }
  auto peer = std::make_shared<Peer>(executor);
  peer->connection = std::move(*accepted);
  // A peer that comes again takes the place of its old connection.
  for (auto& other : peers) {
    if (other->connection->peer_tub() == peer->connection->peer_tub()) other->connection->drop();
  }
  peer->connection->offer(
      [this, weak = std::weak_ptr(peer)](const Call& call) -> Result<Value> {
        auto still = weak.lock();
        if (!still) return fail(Errc::closed, "closing");
        return answer(still, call);
      },
      options.swissnum, std::string(service_interface), options.furl);
  peer->connection->when_ended([weak = std::weak_ptr(peer)] {
    if (auto still = weak.lock()) still->changed.notify();
  });
  peer->connection->start();
  const auto place = peers.insert(peers.end(), peer);
  while (peer->connection->alive() && !closing) {
    if (peer->subscriber && !peer->untold.empty()) {
      co_await tell(peer);
      continue;
    }
    co_await peer->changed.wait();
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
  peers.erase(place);
  co_await peer->connection->close();
}

Task<> Service::State::tell(std::shared_ptr<Peer> peer) {
  auto& untold = peer->untold;
  const auto count = std::min(untold.size(), announcements_at_once);
  std::vector<Value> items;
  for (std::size_t i = 0; i < count; ++i) items.push_back(value_of(untold[i]));
  untold.erase(untold.begin(), untold.begin() + static_cast<std::ptrdiff_t>(count));
  std::vector<Value> arguments{sequence("set", std::move(items))};
  auto told = co_await peer->connection->call(*peer->subscriber, "announce_v2",
                                              std::move(arguments), time_to_answer);
  if (!told) {
    log::info("a subscriber does not listen: " + told.error().message());
    peer->connection->drop();
  }
}

Result<Value> Service::State::answer(const std::shared_ptr<Peer>& peer, const Call& call) {
  if (call.method == "get_version") {
    return sequence("dict", {Value(std::string("application-version")), Value(options.version),
                             Value(std::string(protocol_version)), sequence("dict")});
  }
  if (call.method == "publish_v2") {
    const auto* argument = call.argument(0, "announcement");
    auto from = argument ? announcement_of(*argument) : std::nullopt;
    if (!from) return fail(Errc::protocol, "an announcement is a tuple of three byte strings");
    TRY(announcement, verify(*from));
    heard(std::move(announcement), std::move(*from));
    return none();
  }
  if (call.method == "subscribe_v2") {
    const auto* argument = call.argument(0, "subscriber");
    const auto* service = call.argument(1, "service_name");
    const auto subscriber = argument ? reference_of(*argument) : std::nullopt;
    if (!subscriber || !service || !service->text())
      return fail(Errc::protocol, "a subscription names a subscriber and a service");
    if (!subscriber->interface.empty() && subscriber->interface != subscriber_interface)
      return fail(Errc::protocol, "the subscriber is no " + std::string(subscriber_interface));
    peer->subscriber = subscriber->object;
    peer->untold.clear();
    for (const auto* entry : book.entries()) {
      if (entry->proof && entry->announcement.service == *service->text())
        peer->untold.push_back(*entry->proof);
    }
    peer->changed.notify();
    return none();
  }
  return fail(Errc::unsupported,
              "method '" + call.method + "' not defined in " + std::string(service_interface));
}

}  // namespace lafs::grid::introducer
