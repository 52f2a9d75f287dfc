// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/publish_plan.h"

namespace lafs::grid {

namespace {
// How often shares that found no home are offered to further servers.
constexpr int most_rounds = 4;
constexpr std::size_t seqnum_end = 9;
}  // namespace

PublishPlan::PublishPlan(const ServerMap& map, const ShareHeader& new_version,
                         std::vector<ServerNo> takers)
    : new_version_(new_version), takers_(std::move(takers)) {
  const auto n = new_version_.geometry().n;
  for (const auto& [place, share] : map.shares()) {
    if (*share.header == new_version) {
      written_.insert(place);
      continue;
    }
    auto& into = place.number.value < n ? goal_ : found_;
    into.emplace(place, to_bytes(share.header->checkstring()));
  }
  for (const auto& [place, share] : map.bad_shares()) {
    auto& into = place.number.value < n ? goal_ : found_;
    into.emplace(place, share.start);
  }
}

std::vector<PublishPlan::Write> PublishPlan::homeless() {
  std::set<ShareNo> housed;
  std::map<ServerNo, std::size_t> load;
  for (const auto& place : under_way_) housed.insert(place.number);
  for (const auto& place : written_) housed.insert(place.number);
  for (const auto& [place, expected] : goal_) ++load[place.server];
  for (const auto& place : written_) {
    if (!goal_.contains(place)) ++load[place.server];
  }

  std::vector<ServerNo> order;
  for (const auto server : takers_) {
    if (!unwilling_.contains(server)) order.push_back(server);
  }
  std::ranges::stable_sort(order, {}, [&](ServerNo s) { return load[s]; });
  std::vector<Write> out;
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < new_version_.geometry().n; ++i) {
    const ShareNo number{i};
    if (housed.contains(number)) continue;
    // Not where this number has been tried before.
    for (std::size_t tries = 0; tries < order.size(); ++tries) {
      const SharePlace place{order[at++ % order.size()], number};
      if (goal_.contains(place)) continue;
      goal_.emplace(place, Bytes());
      out.push_back({place, {}});
      break;
    }
  }
  return out;
}

std::vector<PublishPlan::Write> PublishPlan::next() {
  std::vector<Write> out;
  if (!started_) {
    started_ = true;
    for (const auto& [place, expected] : goal_) {
      out.push_back({place, expected});
      under_way_.insert(place);
    }
  } else if (!under_way_.empty() || surprised_ || rounds_ >= most_rounds) {
    return out;
  }
  ++rounds_;
  for (auto& write : homeless()) {
    under_way_.insert(write.place);
    out.push_back(std::move(write));
  }
  return out;
}

bool PublishPlan::is_ours(ByteView start) const {
  const auto ours = new_version_.checkstring();
  return start.size() >= ours.size() && equal(start.first(ours.size()), ours);
}

bool PublishPlan::is_surprise(ByteView start) const {
  if (start.size() < seqnum_end || is_ours(start)) return false;
  return get_be<std::uint64_t>(start.data() + 1) >= new_version_.id().seqnum;
}

void PublishPlan::answered(const Write& write, const Result<storage::ReadTestWriteReply>& reply) {
  const auto& place = write.place;
  under_way_.erase(place);
  const auto failed = [&](Errc code, std::string why) {
    failures_.push_back(std::move(why));
    failure_codes_.insert(code);
    unwilling_.insert(place.server);
  };
  if (!reply) {
    failed(reply.error().code, reply.error().message());
    return;
  }
  const auto surprise = [&](std::string why) {
    if (!surprised_) surprise_ = std::move(why);
    surprised_ = true;
  };
  const auto share = "share " + std::to_string(place.number.value);
  for (const auto& [number, data] : reply->data) {
    const SharePlace other{place.server, number};
    if (number == place.number || data.empty()) continue;
    if (!goal_.contains(other) && !found_.contains(other) && is_surprise(data[0])) {
      surprise("an unexpected share " + std::to_string(number.value));
    }
  }
  if (reply->success) {
    written_.insert(place);
    return;
  }
  const auto it = reply->data.find(place.number);
  const Bytes now = it == reply->data.end() || it->second.empty() ? Bytes() : it->second[0];
  if (is_ours(now)) {
    // The request was sent twice on the way, and the first one did it.
    written_.insert(place);
    return;
  }
  const auto compared = std::min<std::size_t>(write.expected.size(), read_size);
  const bool as_expected =
      write.expected.empty()
          ? now.empty()
          : now.size() >= compared &&
                equal(ByteView(now).first(compared), ByteView(write.expected).first(compared));
  if (as_expected) {
    // The condition held and yet nothing was written: most likely the disk is full.
    failed(Errc::refused, share + " was not taken");
  } else {
    surprise(share + " has changed meanwhile");
  }
}

bool PublishPlan::mostly_written() const {
  return 2 * written_.size() > goal_.size() && written_.size() >= new_version_.geometry().k &&
         under_way_.size() < new_version_.geometry().k;
}

Result<> PublishPlan::outcome() const {
  if (surprised_) return fail(Errc::collision, surprise_);
  std::set<ShareNo> numbers;
  for (const auto& place : written_) numbers.insert(place.number);
  const auto k = new_version_.geometry().k;
  if (numbers.size() >= k) return {};
  if (goal_.empty()) return fail(Errc::no_servers, "no server takes shares");
  std::string why = "only " + std::to_string(numbers.size()) + " shares were written, " +
                    std::to_string(k) + " are needed";
  for (std::size_t i = 0; i < failures_.size() && i < 10; ++i) why += "; " + failures_[i];
  const bool full = numbers.empty() && failure_codes_ == std::set{Errc::no_space};
  return fail(full ? Errc::no_space : Errc::not_enough_shares, std::move(why));
}

std::vector<PublishPlan::Write> PublishPlan::leftovers() const {
  std::vector<Write> out;
  if (!outcome() || doubtful()) return out;
  for (const auto& [place, expected] : found_) {
    if (!expected.empty()) out.push_back({place, expected});
  }
  return out;
}

bool PublishPlan::complete() const {
  if (!outcome() || !found_.empty()) return false;
  std::set<ShareNo> numbers;
  for (const auto& place : written_) numbers.insert(place.number);
  return numbers.size() == new_version_.geometry().n && failures_.empty();
}

bool PublishPlan::doubtful() const { return outcome() && 2 * written_.size() <= goal_.size(); }

}  // namespace lafs::grid
