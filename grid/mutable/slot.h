// SPDX-License-Identifier: Apache-2.0
#pragma once

// One file's slot on all servers: what the coroutines that ask, read and write it share.

#include <set>

#include "grid/base/offload.h"
#include "grid/base/task.h"
#include "grid/mutable/server_facts.h"
#include "grid/mutable/servermap.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

// Tells servers about their damaged shares, in the background and once each. close() first.
class CorruptionReports {
 public:
  explicit CorruptionReports(asio::any_io_executor executor) : group_(std::move(executor)) {}

  void send(const storage::KnownServer& server, StorageIndex si, ShareNo number, std::string reason,
            Duration deadline);
  // Gives up what is not delivered yet.
  Task<> close();

 private:
  TaskGroup group_;
  std::set<std::pair<std::string, ShareNo>> told_;
};

// What writing takes. A server learns only its own write enabler, which it has already.
struct PublishSecrets {
  Key16 write_key;
  Secret32 lease_secret;
};

struct Slot {
  asio::any_io_executor executor;
  Pool& pool;
  CorruptionReports& reports;
  SignatureCheck& signatures;
  StorageIndex si;
  std::vector<storage::KnownServer> servers;  // in permuted order; ServerNo counts in it
  Duration deadline{};
  Duration patience{};
  // With these all shares of a server are read by one request.
  std::optional<PublishSecrets> secrets{};
  // What servers held when they were asked last, by server id; and how much of a share to read at
  // first.
  std::map<std::string, std::set<ShareNo>, std::less<>> held_lately{};
  std::size_t first_read = ShareHeader::first_read;
  ServerFacts* facts = nullptr;  // may be null

  storage::Server& server(ServerNo no) const { return *servers[no.value].server; }
  const std::string& id(ServerNo no) const { return servers[no.value].id; }
  std::string name(ServerNo no) const { return servers[no.value].name(); }
  storage::MutableSecrets secrets_for(ServerNo no) const;  // requires `secrets`
  void report(SharePlace place, std::string reason) const {
    reports.send(servers[place.server.value], si, place.number, std::move(reason), deadline);
  }
};

// A connection that broke may be whole again at once, and a second attempt tells us what became of
// the first. Silence is not asked twice.
inline bool worth_a_retry(const Error& error) {
  return error.code == Errc::unreachable || error.code == Errc::io || error.code == Errc::protocol;
}

}  // namespace lafs::grid
