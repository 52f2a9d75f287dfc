// SPDX-License-Identifier: Apache-2.0
#include "grid/storage_announcer.h"

#include "grid/base/base32.h"
#include "grid/base/log.h"
#include "grid/base/netstring.h"
#include "grid/base/version.h"
#include "grid/crypto/random.h"
#include "grid/introducer/certificates.h"
#include "grid/node_dir/files.h"

namespace lafs::grid {

struct StorageAnnouncer::State {
  // What tahoe.cfg and private/introducers.yaml say.
  struct Settings {
    introducer::OwnAnnouncement own;
    std::vector<IntroducerEntry> introducers;
    std::vector<std::string> complaints;
    bool operator==(const Settings&) const = default;
  };
  // One introducer, and what it was told: signed once for each life, so that a connection that
  // comes back says the same again.
  struct Listener {
    IntroducerEntry entry;
    std::optional<introducer::SignedAnnouncement> said;
    std::unique_ptr<introducer::Client> client;
  };

  explicit State(asio::any_io_executor on) : executor(on), leaving(on) {}
  Result<Settings> read(const NodeDir& node) const;
  void apply(Settings now);
  // The next number of an announcement, remembered before it is used: one that goes backwards is
  // ignored by everybody.
  Result<std::int64_t> next_number() const;
  std::vector<introducer::SignedAnnouncement> announcement(Listener& listener) const;
  static Task<> leave(std::unique_ptr<Listener> listener);

  asio::any_io_executor executor;
  const storage::Identity caller = storage::Identity::for_this_process();
  std::filesystem::path number_file;
  Secret32 key;
  ServerEntry who;
  Settings settings;
  std::vector<std::unique_ptr<Listener>> listeners;
  TaskGroup leaving;
};

StorageAnnouncer::StorageAnnouncer(std::unique_ptr<State> state) : state_(std::move(state)) {}
StorageAnnouncer::~StorageAnnouncer() = default;

Result<std::int64_t> StorageAnnouncer::State::next_number() const {
  std::int64_t last = 0;
  auto text = read_small_file(number_file, 100);
  if (text) {
    const auto number = parse_decimal(trimmed(*text));
    if (!number || *number > static_cast<std::uint64_t>(INT64_MAX - 1)) {
      return fail(Errc::bad_config, number_file.string() + ":1: not a number");
    }
    last = static_cast<std::int64_t>(*number);
  } else if (text.error().code != Errc::not_found) {
    return std::unexpected(text.error());
  }
  TRY_DO(replace_file(number_file, std::to_string(last + 1) + "\n", public_file));
  return last + 1;
}

std::vector<introducer::SignedAnnouncement> StorageAnnouncer::State::announcement(
    Listener& listener) const {
  if (!listener.said) {
    auto number = next_number();
    if (!number) {
      log::error("nothing is announced: " + number.error().message());
      return {};
    }
    auto now = settings.own;
    now.number = *number;
    now.nonce = base32(random_array<32>());
    listener.said = introducer::sign(introducer::announcement_message(now), key);
  }
  return {*listener.said};
}

Result<StorageAnnouncer::State::Settings> StorageAnnouncer::State::read(const NodeDir& node) const {
  Settings out;
  TRY(introducers, node.introducers());
  out.introducers = std::move(introducers);
  if (!out.introducers.empty()) TRY_DO(node.may_connect());
  out.own.nickname = node.nickname();
  out.own.version = std::string(program_version);
  TRY(anonymous, node.config().boolean("storage", "anonymous"));
  if (!anonymous.value_or(true)) {
    return fail(Errc::bad_config, node.config().where("storage", "anonymous") +
                                      ": [storage] anonymous is false, but lafs has no other way "
                                      "to serve (it has no storage plugins)");
  }
  out.own.furl = who.furl;
  out.own.nurls = who.nurls;
  out.own.permutation_seed = base32(who.permutation_seed);
  out.own.notice = node.storage().notice;
  out.own.asks_feedback = node.storage().asks_feedback;
  TRY(managed, node.config().boolean("storage", "grid_management"));
  if (managed.value_or(false)) {
    for (const auto& name : node.config().keys("grid_manager_certificates")) {
      TRY(path, node.config().text("grid_manager_certificates", name));
      const auto file = node.path() / *path;
      TRY(text, read_small_file(file));
      TRY(certificate, introducer::parse_certificate_file(text, file.string()));
      const auto said = introducer::read_certificate(certificate);
      if (!said || said->public_key != "pub-" + who.id) {
        out.complaints.push_back(
            file.string() + " is not shown: " +
            (said ? "it vouches for " + said->public_key + ", and this server is pub-" + who.id
                  : said.error().message()));
        continue;
      }
      if (said->expires < std::chrono::system_clock::now()) {
        out.complaints.push_back(file.string() +
                                 " has expired: clients upload nothing here until the grid "
                                 "manager makes a new one");
      }
      out.own.certificates.push_back(std::move(certificate));
    }
  }
  return out;
}

void StorageAnnouncer::State::apply(Settings now) {
  const bool news = now.own != settings.own;
  settings = std::move(now);
  for (const auto& complaint : settings.complaints) log::warning(complaint);
  auto before = std::exchange(listeners, {});
  for (const auto& entry : settings.introducers) {
    const auto there = std::ranges::find_if(
        before, [&](const auto& listener) { return listener && listener->entry == entry; });
    if (there != before.end()) {
      listeners.push_back(std::move(*there));
      if (news) {
        listeners.back()->said.reset();
        listeners.back()->client->publish_again();
      }
      continue;
    }
    auto listener = std::make_unique<Listener>();
    listener->entry = entry;
    introducer::Client::Options options;
    options.petname = entry.petname;
    options.furl = *storage::Furl::parse(entry.furl);
    options.nickname = settings.own.nickname;
    options.version = settings.own.version;
    options.published = [this, at = listener.get()] { return announcement(*at); };
    listener->client = std::make_unique<introducer::Client>(executor, caller, std::move(options));
    listener->client->start();
    listeners.push_back(std::move(listener));
  }
  for (auto& gone : before) {
    if (gone) leaving.spawn(leave(std::move(gone)));
  }
}

Task<> StorageAnnouncer::State::leave(std::unique_ptr<Listener> listener) {
  co_await listener->client->close();
}

Result<std::unique_ptr<StorageAnnouncer>> StorageAnnouncer::start(asio::any_io_executor executor,
                                                                  const NodeDir& node,
                                                                  const StorageNode& who) {
  auto state = std::make_unique<State>(executor);
  state->number_file = node.path() / "announcement-seqnum";
  TRY(key_text, read_small_file(node.private_path("node.privkey"), 1000));
  const auto key = introducer::private_key_from_text(trimmed(key_text));
  if (!key) {
    return fail(Errc::bad_config, node.private_path("node.privkey").string() +
                                      ":1: not \"priv-v0-\" and 32 bytes in base32");
  }
  state->key = *key;
  state->who = who.announcement;
  TRY(settings, state->read(node));
  state->apply(std::move(settings));
  return std::unique_ptr<StorageAnnouncer>(new StorageAnnouncer(std::move(state)));
}

Result<std::function<void()>> StorageAnnouncer::reload(const NodeDir& node) {
  TRY(settings, state_->read(node));
  return [state = state_.get(), settings = std::move(settings)] { state->apply(settings); };
}

std::vector<introducer::Client::Status> StorageAnnouncer::introducers() const {
  std::vector<introducer::Client::Status> out;
  for (const auto& listener : state_->listeners) out.push_back(listener->client->status());
  return out;
}

Task<> StorageAnnouncer::close() {
  for (auto& listener : state_->listeners) co_await listener->client->close();
  co_await state_->leaving.join();
}

}  // namespace lafs::grid
