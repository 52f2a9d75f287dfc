// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/slot.h"

namespace lafs::grid {

namespace {

constexpr std::size_t most_reports_under_way = 16;
constexpr std::size_t most_remembered = 1024;

Task<> deliver(std::shared_ptr<storage::Server> server, StorageIndex si, ShareNo number,
               std::string reason, Duration deadline) {
  // Whether it arrives changes nothing for us.
  (void)co_await within(
      deadline, "reporting a damaged share",
      server->advise_corrupt(storage::ShareKind::mutable_, si, number, std::move(reason)));
}

}  // namespace

void CorruptionReports::send(const storage::KnownServer& server, StorageIndex si, ShareNo number,
                             std::string reason, Duration deadline) {
  if (group_.running() >= most_reports_under_way || told_.size() >= most_remembered) return;
  if (!told_.emplace(server.id, number).second) return;
  group_.spawn(deliver(server.server, si, number, std::move(reason), deadline));
}

storage::MutableSecrets Slot::secrets_for(ServerNo no) const {
  const auto& seed = servers[no.value].lease_seed;
  return {write_enabler(secrets->write_key, seed), lease_secrets(secrets->lease_secret, si, seed)};
}

Task<> CorruptionReports::close() {
  group_.cancel();
  co_await group_.join();
}

}  // namespace lafs::grid
