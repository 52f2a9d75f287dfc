// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/map_search.h"

namespace lafs::grid {

namespace {
constexpr std::size_t later_in_flight = 5;
}

MapSearch::MapSearch(Options options) : options_(std::move(options)) {
  std::erase_if(options_.must_ask, [this](ServerNo s) { return s.value >= options_.servers; });
}

std::vector<ServerNo> MapSearch::next(const ServerMap& map) {
  std::vector<ServerNo> out;
  const auto ask = [&](ServerNo server) {
    if (asked_.insert(server).second) out.push_back(server);
  };
  const auto ask_more = [&](std::size_t total) {
    while (place_ < options_.servers && under_way() < total) ask(ServerNo{place_++});
  };
  if (!started_) {
    started_ = true;
    for (const auto server : options_.must_ask) ask(server);
    const auto wave = options_.mode == MapMode::check  ? options_.servers
                      : options_.mode == MapMode::read ? 2 * options_.k
                                                       : options_.n + options_.k;
    ask_more(std::max<std::size_t>(wave, 1));
    return out;
  }
  if (everything_known(map)) return out;
  ask_more(later_in_flight);
  return out;
}

void MapSearch::settled(ServerNo server, TimePoint now) {
  settled_.insert(server);
  last_answer_ = now;
}

bool MapSearch::read_rule(const ServerMap& map) const {
  return map.best() && !map.newer_unrecoverable();
}

bool MapSearch::boundary_found(const ServerMap& map) const {
  std::size_t empties = 0;
  bool holder_seen = false;
  for (std::uint64_t i = 0; i < options_.servers; ++i) {
    const ServerNo server{i};
    if (map.failed().contains(server)) continue;
    if (!map.answered().contains(server)) return false;
    if (map.holds_any(server)) {
      holder_seen = true;
      empties = 0;
    } else if (holder_seen && ++empties >= options_.k) {
      return true;
    }
  }
  return false;  // the list ended first: done by exhaustion or not at all
}

bool MapSearch::everything_known(const ServerMap& map) const {
  if (options_.mode != MapMode::read) {
    for (const auto server : options_.must_ask) {
      if (silent(server)) return false;
    }
  }
  switch (options_.mode) {
    case MapMode::read:
      return read_rule(map) && map.answered().size() >= 2 * options_.k;
    case MapMode::write:
      return map.best() && boundary_found(map);
    case MapMode::check:
      return false;
  }
  return false;
}

bool MapSearch::done(const ServerMap& map, TimePoint now) const {
  if (!started_) return false;
  const bool exhausted = place_ >= options_.servers;
  if (exhausted && under_way() == 0) return true;
  if (everything_known(map)) return true;
  // A newer version that can be read needs k servers to be on, as shares are usually spread.
  return exhausted && read_rule(map) && under_way() < options_.k && now >= wait_until();
}

TimePoint MapSearch::wait_until() const {
  if (last_answer_ == TimePoint{}) return TimePoint::max();
  return last_answer_ + options_.patience;
}

}  // namespace lafs::grid
