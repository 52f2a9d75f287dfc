// SPDX-License-Identifier: Apache-2.0
#pragma once

// The storage servers that are known, in the order that a storage index gives them
// (spec/immutable 2.4, spec/storage 8.6).

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
  std::shared_ptr<Server> server;

  // What messages call it: the nickname, else the first 8 characters after "v0-".
  std::string name() const;
};

class Roster {
 public:
  void add(KnownServer server);  // replaces one of the same id
  const std::vector<KnownServer>& all() const { return servers_; }
  bool empty() const { return servers_.empty(); }
  // Preferred servers first, then ascending SHA-1(si || seed). The pointers live as long as the
  // roster does not change.
  std::vector<const KnownServer*> permuted(const StorageIndex& si) const;
  Task<> close();  // closes every server

 private:
  std::vector<KnownServer> servers_;
};

// The seed that orders a server: the announced one, else the key in a "v0-" id, else
// SHA-256(id).
Bytes permutation_seed(std::string_view server_id,
                       std::optional<std::string_view> announced_base32);

}  // namespace lafs::grid::storage
