// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/share_chooser.h"

#include <algorithm>
#include <bit>
#include <tuple>

namespace lafs::grid {

// --- SegmentFetch

void SegmentFetch::succeeded(ShareId id) {
  active_.erase(id);
  overdue_.erase(id);
  have_.insert(id.number);
}

void SegmentFetch::failed(ShareId id) {
  active_.erase(id);
  overdue_.erase(id);
  failed_.insert(id);
}

std::vector<ShareId> SegmentFetch::check_overdue(TimePoint now, Duration patience) {
  std::vector<ShareId> out;
  for (auto& [id, since] : active_) {
    if (now - since >= patience && overdue_.insert(id).second) out.push_back(id);
  }
  return out;
}

TimePoint SegmentFetch::next_check(Duration patience) const {
  auto first = TimePoint::max();
  for (auto& [id, since] : active_) {
    if (!overdue_.contains(id)) first = std::min(first, since + patience);
  }
  return first;
}

std::set<ShareNo> SegmentFetch::promised() const {
  auto out = have_;
  for (auto& [id, since] : active_) {
    if (!overdue_.contains(id)) out.insert(id.number);
  }
  return out;
}

std::size_t SegmentFetch::active_on(ServerNo server) const {
  std::size_t n = 0;
  for (auto& [id, since] : active_) n += id.server == server;
  return n;
}

// --- ShareChooser

void ShareChooser::found(ShareId id, Duration round_trip) {
  if (id.number.value >= n_) return;
  shares_.try_emplace(id);
  auto& speed = servers_[id.server];
  if (speed.average == Duration{}) speed.average = round_trip;
}

void ShareChooser::answered(ShareId id, Duration took) {
  auto& share = shares_[id];
  if (share.health == Health::failed) share = Share();
  auto& speed = servers_[id.server];
  speed.average = speed.average == Duration{} ? took : (speed.average * 3 + took) / 4;
  speed.slow = took > patience();
  constexpr std::size_t remembered = 32;
  if (recent_.size() < remembered) {
    recent_.push_back(took);
  } else {
    recent_[recent_at_++ % remembered] = took;
  }
}

void ShareChooser::overdue(ServerNo server) { servers_[server].slow = true; }

void ShareChooser::failed(ShareId id, const Error& error, TimePoint now) {
  auto& share = shares_[id];
  share.complaint = error.message();
  if (error.code == Errc::corrupt) {
    share.health = Health::lied;
  } else if (share.health == Health::good) {
    share.health = Health::failed;
  }
  share.retry_at = now + limits_.retry_after;
}

std::optional<ShareId> ShareChooser::next(const SegmentFetch& fetch, TimePoint now,
                                          bool last_resort) const {
  if (fetch.covered()) return std::nullopt;
  const auto promised = fetch.promised();
  std::optional<ShareId> best;
  auto key_of = [&](ShareId id, const Share& share) {
    const auto& speed = servers_.at(id.server);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(speed.average).count();
    const auto pace = std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(ms, 0)));
    return std::tuple(share.health, speed.slow, fetch.active_on(id.server), pace, id.number,
                      id.server);
  };
  std::optional<decltype(key_of({}, {}))> best_key;
  for (auto& [id, share] : shares_) {
    if (share.health != Health::good && !last_resort) continue;
    if (share.health == Health::failed && now < share.retry_at) continue;
    if (!fetch.untried(id) || promised.contains(id.number)) continue;
    const auto key = key_of(id, share);
    if (best_key && *best_key <= key) continue;
    best_key = key;
    best = id;
  }
  return best;
}

Duration ShareChooser::patience() const {
  if (recent_.size() < 3) return limits_.patience;
  auto sorted = recent_;
  std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2));
  return std::clamp(sorted[sorted.size() / 2] * 3, limits_.least_patience, limits_.most_patience);
}

std::size_t ShareChooser::distinct_numbers() const {
  std::set<ShareNo> numbers;
  for (auto& [id, share] : shares_) numbers.insert(id.number);
  return numbers.size();
}

std::vector<std::pair<ShareId, std::string>> ShareChooser::shares() const {
  std::vector<std::pair<ShareId, std::string>> out;
  for (auto& [id, share] : shares_) {
    out.emplace_back(id, share.health == Health::good ? std::string() : share.complaint);
  }
  return out;
}

}  // namespace lafs::grid
