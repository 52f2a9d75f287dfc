// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/servermap.h"

namespace lafs::grid {

namespace {
constexpr std::size_t saved_start = 75;
}

void ServerMap::found(SharePlace place, FoundShare share) {
  if (bad_.contains(place)) return;
  shares_.insert_or_assign(place, std::move(share));
}

void ServerMap::read_more(SharePlace place, Bytes start) {
  const auto it = shares_.find(place);
  if (it != shares_.end()) it->second.start = std::move(start);
}

void ServerMap::bad(SharePlace place, ByteView start, std::string reason) {
  shares_.erase(place);
  bad_.insert_or_assign(
      place,
      DamagedShare{to_bytes(start.first(std::min(start.size(), saved_start))), std::move(reason)});
}

bool ServerMap::holds_any(ServerNo server) const {
  const auto at = [&](const auto& map) {
    const auto it = map.lower_bound({server, ShareNo{0}});
    return it != map.end() && it->first.server == server;
  };
  return at(shares_) || at(bad_);
}

std::vector<ServerMap::Version> ServerMap::versions(bool recoverable) const {
  struct Counted {
    Version version;
    std::set<ShareNo> numbers;
    std::size_t places = 0;
  };
  std::map<Bytes, Counted> by_header;
  for (const auto& [place, share] : shares_) {
    auto& counted = by_header[share.header->bytes()];
    counted.version = share.header;
    counted.numbers.insert(place.number);
    ++counted.places;
  }
  std::vector<const Counted*> chosen;
  for (const auto& [bytes, counted] : by_header) {
    const bool enough = counted.numbers.size() >= counted.version->geometry().k;
    if (enough == recoverable) chosen.push_back(&counted);
  }
  std::ranges::sort(chosen, std::greater(), [](const Counted* c) {
    const auto& id = c->version->id();
    return std::tuple(id.seqnum, c->places, id.root_hash, c->version->bytes());
  });
  std::vector<Version> out;
  for (const auto* c : chosen) out.push_back(c->version);
  return out;
}

std::vector<ServerMap::Version> ServerMap::recoverable() const { return versions(true); }
std::vector<ServerMap::Version> ServerMap::unrecoverable() const { return versions(false); }

ServerMap::Version ServerMap::best() const {
  const auto all = recoverable();
  return all.empty() ? nullptr : all.front();
}

bool ServerMap::newer_unrecoverable() const {
  const auto good = best();
  const auto lost = unrecoverable();
  return !lost.empty() && (!good || lost.front()->id().seqnum > good->id().seqnum);
}

bool ServerMap::needs_merge() const {
  const auto all = recoverable();
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i]->id().seqnum == all[i - 1]->id().seqnum) return true;
  }
  return false;
}

std::uint64_t ServerMap::highest_seqnum() const {
  std::uint64_t highest = 0;
  for (const auto& [place, share] : shares_) {
    highest = std::max(highest, share.header->id().seqnum);
  }
  return highest;
}

std::vector<SharePlace> ServerMap::places(const ShareHeader& version) const {
  std::vector<SharePlace> out;
  for (const auto& [place, share] : shares_) {
    if (*share.header == version) out.push_back(place);
  }
  return out;
}

std::set<ShareNo> ServerMap::numbers(const ShareHeader& version) const {
  std::set<ShareNo> out;
  for (const auto& place : places(version)) out.insert(place.number);
  return out;
}

std::string ServerMap::failures() const {
  std::string out = std::to_string(answered_.size()) + " servers answered, " +
                    std::to_string(failed_.size()) + " failed";
  std::map<std::string_view, std::size_t> counts;
  for (const auto& [server, error] : failed_) ++counts[name_of(error.code)];
  std::string detail;
  for (const auto& [name, count] : counts) {
    detail += (detail.empty() ? "" : ", ") + std::string(name) + " " + std::to_string(count);
  }
  if (!detail.empty()) out += " (" + detail + ")";
  if (!bad_.empty()) out += ", " + std::to_string(bad_.size()) + " damaged shares";
  return out;
}

}  // namespace lafs::grid
