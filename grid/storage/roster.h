// SPDX-License-Identifier: Apache-2.0
#pragma once

// The storage servers that are known, in the order that a storage index gives them
// (spec/immutable 2.4, spec/storage 8.6).

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "grid/storage/server.h"

namespace lafs::grid::storage {

struct KnownServer {
  std::string id;        // "v0-..." or any string from servers.yaml
  std::string nickname;  // for people
  Bytes permutation_seed;
  LeaseSeed lease_seed{};
  bool preferred = false;
  std::shared_ptr<Server> server = {};
  // With grid managers configured: until when one of them vouches for the server. New immutable
  // shares go nowhere else (spec/storage 8.8).
  std::optional<std::chrono::system_clock::time_point> vouched_until = std::nullopt;
  bool needs_voucher = false;

  // What messages call it: the nickname, else the first 8 characters after "v0-".
  std::string name() const;
  bool takes_new_files(std::chrono::system_clock::time_point now) const {
    return !needs_voucher || (vouched_until && *vouched_until > now);
  }
};

class Roster {
 public:
  // Replaces one of the same id; the old connection is kept for those who use it, until close().
  void add(KnownServer server);
  const std::deque<KnownServer>& all() const { return servers_; }
  bool empty() const { return servers_.empty(); }
  // Preferred servers first, then ascending SHA-1(si || seed). The pointers live as long as the
  // roster: servers may come while somebody works with them.
  std::vector<const KnownServer*> permuted(const StorageIndex& si) const;
  Task<> close();  // closes every server

 private:
  std::deque<KnownServer> servers_;
  std::vector<std::shared_ptr<Server>> replaced_;
};

// The seed that orders a server: the announced one, else the key in a "v0-" id, else
// SHA-256(id).
Bytes permutation_seed(std::string_view server_id,
                       std::optional<std::string_view> announced_base32);

}  // namespace lafs::grid::storage
