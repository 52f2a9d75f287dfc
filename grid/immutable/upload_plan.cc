// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/upload_plan.h"

namespace lafs::grid {

namespace {

// Follows a server's name in a sentence.
std::string said_of(const Error& error) {
  switch (error.code) {
    case Errc::timed_out:
      return "timed out";
    case Errc::unreachable:
      return "is unreachable";
    case Errc::wrong_certificate:
      return "showed another certificate than its address names";
    case Errc::unauthorized:
      return "refused our secret";
    case Errc::no_space:
      return "is full";
    case Errc::too_large:
      return "does not take shares of this size";
    default:
      return "failed (" + std::string(describe(error.code)) + ")";
  }
}

}  // namespace

ServerNo UploadPlan::add_server(std::string name) {
  Server server;
  server.name = std::move(name);
  server.reason = "did not answer in time";
  servers_.push_back(std::move(server));
  return servers_.size() - 1;
}

void UploadPlan::found(Server& server, const std::set<ShareNo>& shares) {
  for (auto share : shares) {
    if (!server.bad.contains(share)) server.existing.insert(share);
  }
}

void UploadPlan::answered(ServerNo number, std::uint64_t max_share_size, std::set<ShareNo> shares) {
  auto& server = servers_[number];
  server.existing.clear();
  found(server, shares);
  server.reason.clear();
  server.state = State::writable;
  if (!server.bad.empty()) {
    server.state = State::read_only;
    server.reason = "has a damaged share";
    return;
  }
  if (max_share_size >= share_size_) return;
  server.state = State::read_only;
  server.reason = max_share_size == 0 ? "is read-only or full"
                                      : "takes shares of " + std::to_string(max_share_size) +
                                            " bytes, not of " + std::to_string(share_size_);
}

void UploadPlan::failed(ServerNo number, const Error& error) {
  auto& server = servers_[number];
  server.state = State::bad;
  server.reason = said_of(error);
  server.existing.clear();
}

void UploadPlan::allocated(ServerNo number, const std::set<ShareNo>& asked,
                           const storage::Allocation& answer) {
  auto& server = servers_[number];
  found(server, answer.already_have);
  for (auto share : answer.allocated) {
    if (asked.contains(share)) server.granted.insert(share);
  }
  for (auto share : asked) {
    if (server.granted.contains(share) || server.existing.contains(share)) continue;
    server.state = State::read_only;
    server.declined = true;
    server.reason = "is full, or busy with another upload of the same file";
  }
}

void UploadPlan::completed(ServerNo number, ShareNo share) {
  servers_[number].granted.erase(share);
  servers_[number].existing.insert(share);
}

void UploadPlan::lost(ServerNo number, ShareNo share, const Error& error) {
  auto& server = servers_[number];
  server.granted.erase(share);
  server.existing.erase(share);
  if (server.state == State::writable) {
    server.state = State::read_only;
    server.reason = said_of(error);
  }
}

PlacementInput UploadPlan::placement_input() const {
  PlacementInput input;
  input.n = encoding_.n;
  for (ServerNo i = 0; i < servers_.size(); ++i) {
    const auto& server = servers_[i];
    if (server.state == State::silent || server.state == State::bad) continue;
    (server.state == State::writable ? input.writable : input.read_only).push_back(i);
    auto& held = input.existing[i];
    held = server.existing;
    held.insert(server.granted.begin(), server.granted.end());
  }
  return input;
}

std::map<ServerNo, std::set<ShareNo>> UploadPlan::next_round() const {
  const auto input = placement_input();
  std::map<ServerNo, std::set<ShareNo>> asks;
  for (auto& [share, server] : place(input)) {
    if (!input.existing.at(server).contains(share)) asks[server].insert(share);
  }
  return asks;
}

bool UploadPlan::could_be_happy(std::size_t more) const {
  std::set<ServerNo> used;
  std::set<ShareNo> placed;
  for (auto& [share, server] : place(placement_input())) {
    used.insert(server);
    placed.insert(share);
  }
  return used.size() + more >= encoding_.happy && (placed.size() >= encoding_.k || more > 0);
}

std::map<ShareNo, ServerNo> UploadPlan::to_send() const {
  // Of several grants of one share, the one of the server with the fewest counts.
  std::map<ShareNo, ServerNo> out;
  for (ServerNo i = 0; i < servers_.size(); ++i) {
    for (auto share : servers_[i].granted) {
      auto [it, fresh] = out.emplace(share, i);
      if (!fresh && servers_[i].granted.size() < servers_[it->second].granted.size()) {
        it->second = i;
      }
    }
  }
  return out;
}

std::vector<std::pair<ServerNo, ShareNo>> UploadPlan::surplus() const {
  const auto used = to_send();
  std::vector<std::pair<ServerNo, ShareNo>> out;
  for (ServerNo i = 0; i < servers_.size(); ++i) {
    for (auto share : servers_[i].granted) {
      if (used.at(share) != i) out.emplace_back(i, share);
    }
  }
  return out;
}

ShareMap UploadPlan::shares() const {
  ShareMap out;
  for (ServerNo i = 0; i < servers_.size(); ++i) {
    for (auto share : servers_[i].existing) out[share].insert(i);
  }
  for (auto& [share, server] : to_send()) out[share].insert(server);
  // Numbers that no share of this encoding has are of no use.
  out.erase(out.lower_bound(ShareNo{encoding_.n}), out.end());
  return out;
}

std::uint64_t UploadPlan::happiness() const { return lafs::grid::happiness(shares()); }

Error UploadPlan::complaint() const {
  bool any = false;
  std::string reasons;
  std::size_t named = 0, more = 0;
  for (auto& server : servers_) {
    any = any || (server.state != State::silent && server.state != State::bad) ||
          !server.existing.empty();
    if (server.reason.empty()) continue;
    if (named == 10) {
      ++more;
      continue;
    }
    reasons += (named++ ? ", " : ": ") + server.name + " " + server.reason;
  }
  if (more > 0) reasons += ", and " + std::to_string(more) + " more";
  if (servers_.empty()) {
    return Error{Errc::no_servers, "upload needs " + std::to_string(encoding_.happy) +
                                       " storage servers, none is known"};
  }
  const auto usable = happiness();
  const auto code = any ? Errc::unhappy : Errc::no_servers;
  if (usable >= encoding_.happy) {
    return Error{code, "upload needs homes for " + std::to_string(encoding_.k) + " shares, only " +
                           std::to_string(shares().size()) + " have one" + reasons};
  }
  return Error{code, "upload needs " + std::to_string(encoding_.happy) + " distinct servers, " +
                         std::to_string(usable) + " of " + std::to_string(servers_.size()) +
                         (usable == 1 ? " is usable" : " are usable") + reasons};
}

}  // namespace lafs::grid
