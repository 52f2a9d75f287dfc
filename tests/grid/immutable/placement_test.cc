// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/placement.h"

#include <catch2/catch.hpp>
#include <random>

#include "grid/immutable/upload_plan.h"

using namespace lafs;
using namespace lafs::grid;

namespace {

ShareMap share_map(std::initializer_list<std::pair<std::uint64_t, std::set<ServerNo>>> list) {
  ShareMap out;
  for (auto& [share, servers] : list) out[ShareNo{share}] = servers;
  return out;
}

std::set<ShareNo> numbers(std::initializer_list<std::uint64_t> list) {
  std::set<ShareNo> out;
  for (auto n : list) out.insert(ShareNo{n});
  return out;
}

// By trying every assignment: the truth for small graphs.
std::uint64_t best_matching(const ShareMap& shares, ShareMap::const_iterator at,
                            std::set<ServerNo>& used) {
  if (at == shares.end()) return 0;
  auto best = best_matching(shares, std::next(at), used);
  for (auto server : at->second) {
    if (!used.insert(server).second) continue;
    best = std::max(best, 1 + best_matching(shares, std::next(at), used));
    used.erase(server);
  }
  return best;
}

// Every share anywhere it could be: on who holds it, or on anybody writable.
std::uint64_t best_happiness(const PlacementInput& input) {
  ShareMap could;
  for (std::uint64_t i = 0; i < input.n; ++i) {
    auto& servers = could[ShareNo{i}];
    servers.insert(input.writable.begin(), input.writable.end());
    for (auto server : input.read_only) {
      auto it = input.existing.find(server);
      if (it != input.existing.end() && it->second.contains(ShareNo{i})) servers.insert(server);
    }
  }
  std::set<ServerNo> used;
  return best_matching(could, could.begin(), used);
}

bool keeps_invariants(const PlacementInput& input) {
  const auto placed = place(input);
  std::set<ServerNo> used;
  for (auto& [share, server] : placed) {
    if (share.value >= input.n) return false;
    used.insert(server);
    const bool writable = std::ranges::count(input.writable, server) > 0;
    auto held = input.existing.find(server);
    const bool holds = held != input.existing.end() && held->second.contains(share);
    if (!writable && !holds) return false;
  }
  if (!input.writable.empty() && placed.size() != input.n) return false;
  return used.size() == best_happiness(input);
}

}  // namespace

TEST_CASE("happiness is the number of servers that a matching reaches") {
  CHECK(happiness({}) == 0);
  CHECK(happiness(share_map({{0, {0}}, {1, {0}}, {2, {1}}})) == 2);
  CHECK(happiness(share_map({{1, {1}}, {2, {1, 5}}, {3, {1, 3}}, {4, {1, 4}}, {6, {2}}})) == 5);
  ShareMap one_server;
  for (std::uint64_t i = 0; i < 10; ++i) one_server[ShareNo{i}] = {7};
  CHECK(happiness(one_server) == 1);
  CHECK(happiness(share_map({{0, {1, 2, 3}}})) == 1);
}

TEST_CASE("happiness agrees with trying everything") {
  std::mt19937 rng(3);
  for (int round = 0; round < 300; ++round) {
    ShareMap shares;
    const auto count = rng() % 6;
    for (std::uint64_t i = 0; i < count; ++i) {
      for (ServerNo s = 0; s < 5; ++s) {
        if (rng() % 3 == 0) shares[ShareNo{i}].insert(s);
      }
    }
    std::set<ServerNo> used;
    CHECK(happiness(shares) == best_matching(shares, shares.begin(), used));
  }
}

TEST_CASE("every small grid gets a placement with the largest possible happiness") {
  // Each of 4 servers is absent, writable or read-only, and holds any of the 3 shares.
  for (unsigned kinds = 0; kinds < 81; ++kinds) {
    for (unsigned held = 0; held < 4096; held += 1 + kinds % 41) {
      PlacementInput input;
      input.n = 3;
      auto kind = kinds;
      for (ServerNo s = 0; s < 4; ++s, kind /= 3) {
        if (kind % 3 == 0) continue;
        (kind % 3 == 1 ? input.writable : input.read_only).push_back(s);
        for (std::uint64_t i = 0; i < 3; ++i) {
          if ((held >> (3 * s + i)) & 1) input.existing[s].insert(ShareNo{i});
        }
      }
      if (!keeps_invariants(input)) FAIL("kinds " << kinds << " held " << held);
    }
  }
}

TEST_CASE("larger grids at random get the largest possible happiness") {
  std::mt19937 rng(11);
  for (int round = 0; round < 300; ++round) {
    PlacementInput input;
    input.n = 1 + rng() % 6;
    for (ServerNo s = 0; s < 1 + rng() % 7; ++s) {
      (rng() % 2 ? input.writable : input.read_only).push_back(s);
      for (std::uint64_t i = 0; i < input.n + 1; ++i) {
        if (rng() % 4 == 0) input.existing[s].insert(ShareNo{i});
      }
    }
    CHECK(keeps_invariants(input));
  }
}

TEST_CASE("shares without a need to move spread evenly") {
  PlacementInput input;
  input.n = 10;
  input.writable = {0, 1, 2};
  std::map<ServerNo, int> load;
  for (auto& [share, server] : place(input)) ++load[server];
  CHECK(load == std::map<ServerNo, int>{{0, 4}, {1, 3}, {2, 3}});
}

TEST_CASE("existing shares stay where they are") {
  PlacementInput input;
  input.n = 4;
  input.read_only = {0, 1};
  input.writable = {2, 3};
  input.existing[0] = numbers({0});
  input.existing[1] = numbers({1});
  const auto placed = place(input);
  CHECK(placed.at(ShareNo{0}) == 0);
  CHECK(placed.at(ShareNo{1}) == 1);
  CHECK(placed.at(ShareNo{2}) == 2);
  CHECK(placed.at(ShareNo{3}) == 3);
}

TEST_CASE("one server that holds all keeps one share, the empty ones get the others") {
  PlacementInput input;
  input.n = 3;
  input.writable = {0, 1, 2};
  input.existing[0] = numbers({0, 1, 2});
  std::set<ServerNo> used;
  for (auto& [share, server] : place(input)) used.insert(server);
  CHECK(used.size() == 3);
}

namespace {
storage::Allocation granted(std::set<ShareNo> shares) { return {{}, std::move(shares)}; }
}  // namespace

TEST_CASE("a plan gives the shares of a full server to others") {
  UploadPlan plan({.k = 2, .happy = 2, .n = 3, .max_segment_size = 100}, 1000);
  for (auto name : {"A", "B", "C"}) plan.add_server(name);
  for (ServerNo i = 0; i < 3; ++i) plan.answered(i, 1 << 20, {});
  auto round = plan.next_round();
  REQUIRE(round.size() == 3);
  plan.allocated(0, round[0], granted(round[0]));
  plan.allocated(1, round[1], granted({}));
  plan.allocated(2, round[2], granted(round[2]));
  round = plan.next_round();
  REQUIRE(round.size() == 1);
  CHECK(round.begin()->first != 1);
  plan.allocated(round.begin()->first, round.begin()->second, granted(round.begin()->second));
  CHECK(plan.next_round().empty());
  CHECK(plan.to_send().size() == 3);
  CHECK(plan.surplus().empty());
  CHECK(plan.happiness() == 2);
  CHECK(plan.happy());
}

TEST_CASE("a plan that cannot be happy says which servers are in the way and why") {
  UploadPlan plan({.k = 2, .happy = 4, .n = 4, .max_segment_size = 100}, 1000);
  for (auto name : {"A", "B", "C", "D", "E"}) plan.add_server(name);
  plan.answered(0, 1 << 20, {});
  plan.failed(1, {Errc::timed_out, ""});
  plan.answered(2, 0, {});
  plan.failed(3, {Errc::wrong_certificate, ""});
  auto round = plan.next_round();
  REQUIRE(round.size() == 1);
  plan.allocated(0, round[0], granted(round[0]));
  CHECK(plan.next_round().empty());
  CHECK_FALSE(plan.happy());
  CHECK(plan.complaint() ==
        Error{Errc::unhappy,
              "upload needs 4 distinct servers, 1 of 5 is usable: B timed out, C is read-only or "
              "full, D showed another certificate than its address names, E did not answer in "
              "time"});
}

TEST_CASE("a plan is not happy with fewer shares than it takes to read the file") {
  UploadPlan plan({.k = 3, .happy = 1, .n = 5, .max_segment_size = 100}, 1000);
  plan.add_server("A");
  plan.answered(0, 0, numbers({0, 1}));
  CHECK(plan.next_round().empty());
  CHECK(plan.happiness() == 1);
  CHECK_FALSE(plan.happy());
  CHECK(plan.complaint().context.find("homes for 3 shares, only 2 have one") != std::string::npos);
}

TEST_CASE("a plan counts no server whose share was lost on the way") {
  UploadPlan plan({.k = 1, .happy = 2, .n = 2, .max_segment_size = 100}, 1000);
  for (auto name : {"A", "B"}) plan.add_server(name);
  for (ServerNo i = 0; i < 2; ++i) plan.answered(i, 1 << 20, {});
  for (auto& [server, shares] : plan.next_round()) plan.allocated(server, shares, granted(shares));
  CHECK(plan.happy());
  const auto [share, server] = *plan.to_send().begin();
  plan.lost(server, share, {Errc::unreachable, ""});
  CHECK(plan.happiness() == 1);
  CHECK_FALSE(plan.happy());
  CHECK(plan.complaint().context.find("is unreachable") != std::string::npos);
}

TEST_CASE("without any server that answered the error is no_servers") {
  UploadPlan plan({}, 1000);
  CHECK(plan.complaint().code == Errc::no_servers);
  plan.add_server("A");
  plan.failed(0, {Errc::unreachable, ""});
  CHECK(plan.complaint().code == Errc::no_servers);
}
