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
  // The next number of an announcement, remembered before it is used: one that goes backwards is
  // ignored by everybody.
  Result<std::int64_t> next_number() const;
  std::vector<introducer::SignedAnnouncement> announcement(std::size_t introducer);

  std::filesystem::path number_file;
  Secret32 key;
  introducer::OwnAnnouncement own;
  // Signed once for each introducer and life: a connection that comes back says the same again.
  std::vector<std::optional<introducer::SignedAnnouncement>> said;
  std::vector<std::unique_ptr<introducer::Client>> clients;
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
    std::size_t introducer) {
  auto& mine = said[introducer];
  if (!mine) {
    auto number = next_number();
    if (!number) {
      log::error("nothing is announced: " + number.error().message());
      return {};
    }
    auto now = own;
    now.number = *number;
    now.nonce = base32(random_array<32>());
    mine = introducer::sign(introducer::announcement_message(now), key);
  }
  return {*mine};
}

Result<std::unique_ptr<StorageAnnouncer>> StorageAnnouncer::start(asio::any_io_executor executor,
                                                                  const NodeDir& node,
                                                                  const StorageNode& who) {
  auto state = std::make_unique<State>();
  state->number_file = node.path() / "announcement-seqnum";
  TRY(introducers, node.introducers());
  TRY(key_text, read_small_file(node.private_path("node.privkey"), 1000));
  const auto key = introducer::private_key_from_text(trimmed(key_text));
  if (!key) {
    return fail(Errc::bad_config, node.private_path("node.privkey").string() +
                                      ":1: not \"priv-v0-\" and 32 bytes in base32");
  }
  state->key = *key;
  state->own.nickname = node.nickname();
  state->own.version = std::string(program_version);
  state->own.furl = who.announcement.furl;
  state->own.nurls = who.announcement.nurls;
  state->own.permutation_seed = base32(who.announcement.permutation_seed);
  TRY(managed, node.config().boolean("storage", "grid_management"));
  if (managed.value_or(false)) {
    for (const auto& name : node.config().keys("grid_manager_certificates")) {
      TRY(path, node.config().text("grid_manager_certificates", name));
      const auto file = node.path() / *path;
      TRY(text, read_small_file(file));
      TRY(certificate, introducer::parse_certificate_file(text, file.string()));
      state->own.certificates.push_back(std::move(certificate));
    }
  }
  state->said.resize(introducers.size());
  for (std::size_t i = 0; i < introducers.size(); ++i) {
    introducer::Client::Options options;
    options.petname = introducers[i].petname;
    TRY(furl, storage::Furl::parse(introducers[i].furl));
    options.furl = std::move(furl);
    options.nickname = node.nickname();
    options.version = state->own.version;
    options.published = [at = state.get(), i] { return at->announcement(i); };
    state->clients.push_back(
        std::make_unique<introducer::Client>(executor, who.identity, std::move(options)));
    state->clients.back()->start();
  }
  return std::unique_ptr<StorageAnnouncer>(new StorageAnnouncer(std::move(state)));
}

std::vector<introducer::Client::Status> StorageAnnouncer::introducers() const {
  std::vector<introducer::Client::Status> out;
  for (const auto& client : state_->clients) out.push_back(client->status());
  return out;
}

Task<> StorageAnnouncer::close() {
  for (auto& client : state_->clients) co_await client->close();
}

}  // namespace lafs::grid
