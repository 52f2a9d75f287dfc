// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/placement.h"

#include <algorithm>

namespace lafs::grid {

namespace {

// Maximum bipartite matching by augmenting paths (Kuhn). Both sides are at most a few hundred.
class Matching {
 public:
  explicit Matching(std::vector<std::vector<std::uint64_t>> shares_of_server)
      : edges_(std::move(shares_of_server)) {
    for (std::size_t server = 0; server < edges_.size(); ++server) {
      tried_.clear();
      augment(server);
    }
  }

  const std::map<std::uint64_t, std::size_t>& server_of_share() const { return server_of_; }

 private:
  // Recursion is at most as deep as there are servers.
  bool augment(std::size_t server) {
    for (auto share : edges_[server]) {
      if (!tried_.insert(share).second) continue;
      auto taken = server_of_.find(share);
      if (taken == server_of_.end() || augment(taken->second)) {
        server_of_[share] = server;
        return true;
      }
    }
    return false;
  }

  std::vector<std::vector<std::uint64_t>> edges_;
  std::map<std::uint64_t, std::size_t> server_of_;
  std::set<std::uint64_t> tried_;
};

}  // namespace

std::uint64_t happiness(const ShareMap& shares) {
  std::map<ServerNo, std::vector<std::uint64_t>> by_server;
  for (auto& [share, servers] : shares) {
    for (auto server : servers) by_server[server].push_back(share.value);
  }
  std::vector<std::vector<std::uint64_t>> edges;
  for (auto& [server, list] : by_server) edges.push_back(std::move(list));
  return Matching(std::move(edges)).server_of_share().size();
}

std::map<ShareNo, ServerNo> place(const PlacementInput& input) {
  std::map<ShareNo, ServerNo> placed;
  std::set<ServerNo> used;

  // Matches `servers` with the shares they hold, leaving out what is placed or used already.
  auto match_existing = [&](const std::vector<ServerNo>& servers) {
    std::vector<ServerNo> who;
    std::vector<std::vector<std::uint64_t>> edges;
    for (auto server : servers) {
      auto held = input.existing.find(server);
      if (held == input.existing.end() || used.contains(server)) continue;
      std::vector<std::uint64_t> list;
      for (auto share : held->second) {
        if (share.value < input.n && !placed.contains(share)) list.push_back(share.value);
      }
      who.push_back(server);
      edges.push_back(std::move(list));
    }
    const Matching matching(std::move(edges));
    for (auto& [share, index] : matching.server_of_share()) {
      placed[ShareNo{share}] = who[index];
      used.insert(who[index]);
    }
  };
  match_existing(input.read_only);
  match_existing(input.writable);

  // Any writable server can take any share, so this matching is simply in order.
  std::vector<ShareNo> homeless;
  for (std::uint64_t i = 0; i < input.n; ++i) {
    if (!placed.contains(ShareNo{i})) homeless.push_back(ShareNo{i});
  }
  auto next = homeless.begin();
  for (auto server : input.writable) {
    if (next == homeless.end()) break;
    if (!used.insert(server).second) continue;
    placed[*next++] = server;
  }
  homeless.erase(homeless.begin(), next);

  // The rest adds no happiness: stay where they are, or go to the least loaded.
  std::map<ServerNo, std::uint64_t> load;
  for (auto& [share, server] : placed) ++load[server];
  auto holder = [&](ShareNo share, const std::vector<ServerNo>& servers) {
    return std::ranges::find_if(servers, [&](ServerNo server) {
      auto held = input.existing.find(server);
      return held != input.existing.end() && held->second.contains(share);
    });
  };
  for (auto share : homeless) {
    for (auto* servers : {&input.writable, &input.read_only}) {
      auto it = holder(share, *servers);
      if (it == servers->end()) continue;
      placed[share] = *it;
      ++load[*it];
      break;
    }
  }
  if (input.writable.empty()) return placed;
  for (auto share : homeless) {
    if (placed.contains(share)) continue;
    const auto least = *std::ranges::min_element(
        input.writable, [&](ServerNo a, ServerNo b) { return load[a] < load[b]; });
    placed[share] = least;
    ++load[least];
  }
  return placed;
}

}  // namespace lafs::grid
