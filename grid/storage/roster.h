// SPDX-License-Identifier: Apache-2.0
#pragma once

// The storage servers that are known, in the order that a storage index gives them
// (spec/immutable 2.4, spec/storage 8.6).

#include <chrono>
#include <list>
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
  bool only_read = false;  // the node's owner wants no new files there
  // What its operator, and the grid manager who vouches for it, want to tell clients.
  std::string notice = {}, manager_notice = {};

  // What messages call it: the nickname, else the first 8 characters after "v0-".
  std::string name() const;
  bool takes_new_files(std::chrono::system_clock::time_point now) const {
    return !only_read && (!needs_voucher || (vouched_until && *vouched_until > now));
  }
};

class Roster {
 public:
  // Replaces one of the same id; the old connection is kept for those who use it, until close().
  void add(KnownServer server);
  // It is not among all() any more; who works with it may go on.
  void remove(std::string_view id);
  const std::list<KnownServer>& all() const { return servers_; }
  const KnownServer* find(std::string_view id) const;
  bool empty() const { return servers_.empty(); }
  // Preferred servers first, then ascending SHA-1(si || seed). The pointers live as long as the
  // roster: servers may come and go while somebody works with them.
  std::vector<const KnownServer*> permuted(const StorageIndex& si) const;
  Task<> close();  // closes every server

 private:
  std::list<KnownServer> servers_, gone_;
  std::vector<std::shared_ptr<Server>> replaced_;
};

// The seed that orders a server: the announced one, else the key in a "v0-" id, else
// SHA-256(id).
Bytes permutation_seed(std::string_view server_id,
                       std::optional<std::string_view> announced_base32);

}  // namespace lafs::grid::storage
