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

bool SegmentFetch::check_suspicious(TimePoint now, Duration patience) {
  if (suspicious_) return false;
  for (auto& [id, since] : active_) suspicious_ = suspicious_ || now - since >= patience / 2;
  return suspicious_;
}

TimePoint SegmentFetch::next_check(Duration patience) const {
  auto first = TimePoint::max();
  for (auto& [id, since] : active_) {
    if (overdue_.contains(id)) continue;
    first = std::min(first, since + (suspicious_ ? patience : patience / 2));
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
  speed.failures = 0;
  speed.retry_at = {};
  speed.silent = false;
  speed.average = speed.average == Duration{} ? took : (speed.average * 3 + took) / 4;
  const auto so_far = patience();
  speed.slow = took > so_far;
  // Servers that have become slow do not make us patient while others answer in time; when nobody
  // does, patience grows step by step.
  constexpr unsigned nobody = 3;
  if (recent_.size() >= nobody && speed.slow) {
    if (++late_ < nobody) return;
  } else {
    late_ = 0;
  }
  const auto learnt = recent_.size() < nobody ? took : std::min(took, 2 * so_far);
  constexpr std::size_t remembered = 64;
  if (recent_.size() < remembered) {
    recent_.push_back(learnt);
  } else {
    recent_[recent_at_++ % remembered] = learnt;
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
  // The server answers; it is this share that is of no use.
  if (error.code == Errc::corrupt || error.code == Errc::not_found) return;
  auto& server = servers_[id.server];
  // Requests that were under way together fail together, and count once.
  if (now >= server.retry_at) {
    const auto doublings = std::min(server.failures++, 10u);
    server.retry_at =
        now + std::min(limits_.retry_after * (1 << doublings), limits_.most_retry_after);
  }
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
    // Half as quick is as good when its header and hashes are here or on their way.
    const auto bonus = share.begun && pace > 0 ? 1 : 0;
    return std::tuple(share.health, speed.slow, speed.silent, fetch.active_on(id.server),
                      pace - bonus, !share.begun, id.number, id.server);
  };
  std::optional<decltype(key_of({}, {}))> best_key;
  for (auto& [id, share] : shares_) {
    if (share.health == Health::lied && !last_resort) continue;
    if (share.health == Health::failed && now < share.retry_at) continue;
    if (now < servers_.at(id.server).retry_at && !last_resort) continue;
    if (!fetch.untried(id) || promised.contains(id.number)) continue;
    const auto key = key_of(id, share);
    if (best_key && *best_key <= key) continue;
    best_key = key;
    best = id;
  }
  return best;
}

std::vector<ShareId> ShareChooser::standby(const SegmentFetch& fetch, TimePoint now) const {
  std::map<ServerNo, ShareId> out;
  for (auto& [id, share] : shares_) {
    const auto& speed = servers_.at(id.server);
    if (share.health != Health::good || speed.slow || speed.silent || now < speed.retry_at)
      continue;
    if (fetch.active_on(id.server) == 0) out.emplace(id.server, id);
  }
  std::vector<ShareId> shares;
  for (auto& [server, id] : out) shares.push_back(id);
  return shares;
}

Duration ShareChooser::patience() const {
  if (recent_.size() < 3) return limits_.patience;
  auto sorted = recent_;
  const auto nearly_all = (sorted.size() - 1) * 95 / 100;
  std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(nearly_all));
  return std::clamp(sorted[nearly_all] * 2, limits_.least_patience, limits_.most_patience);
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
