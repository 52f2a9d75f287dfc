// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/roster.h"

#include <algorithm>

#include "grid/base/base32.h"
#include "grid/crypto/hash.h"

namespace lafs::grid::storage {

std::string KnownServer::name() const {
  if (!nickname.empty()) return nickname;
  const std::string_view all = id;
  return std::string(all.starts_with("v0-") ? all.substr(3, 8) : all);
}

void Roster::add(KnownServer server) {
  for (auto& known : servers_) {
    if (known.id == server.id) {
      if (known.server != server.server) replaced_.push_back(std::move(known.server));
      known = std::move(server);
      return;
    }
  }
  servers_.push_back(std::move(server));
}

void Roster::remove(std::string_view id) {
  const auto place = std::ranges::find(servers_, id, &KnownServer::id);
  if (place != servers_.end()) gone_.splice(gone_.end(), servers_, place);
}

const KnownServer* Roster::find(std::string_view id) const {
  const auto place = std::ranges::find(servers_, id, &KnownServer::id);
  return place == servers_.end() ? nullptr : &*place;
}

std::vector<const KnownServer*> Roster::permuted(const StorageIndex& si) const {
  struct Placed {
    bool last;  // not preferred
    Hash20 position;
    const KnownServer* server;
  };
  std::vector<Placed> placed;
  placed.reserve(servers_.size());
  for (const auto& server : servers_) {
    placed.push_back({!server.preferred, sha1(si.bytes, server.permutation_seed), &server});
  }
  std::ranges::stable_sort(placed, [](const Placed& a, const Placed& b) {
    return a.last != b.last ? a.last < b.last : a.position < b.position;
  });
  std::vector<const KnownServer*> out;
  out.reserve(placed.size());
  for (const auto& p : placed) out.push_back(p.server);
  return out;
}

Task<> Roster::close() {
  for (auto* list : {&servers_, &gone_}) {
    for (auto& known : *list) {
      if (known.server) co_await known.server->close();
    }
  }
  for (auto& old : replaced_) {
    if (old) co_await old->close();
  }
}

Bytes permutation_seed(std::string_view server_id, std::optional<std::string_view> announced) {
  if (announced) {
    if (auto seed = from_base32_lax(*announced)) return std::move(*seed);
  }
  if (server_id.size() == 55 && server_id.starts_with("v0-")) {
    if (auto key = from_base32_lax(server_id.substr(3))) return std::move(*key);
  }
  const auto hash = sha256(as_bytes(server_id));
  return Bytes(hash.begin(), hash.end());
}

}  // namespace lafs::grid::storage
