// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/send_pace.h"

namespace lafs::grid {

namespace {
constexpr std::size_t remembered_rates = 16;
constexpr std::size_t remembered_times = 64;
constexpr std::size_t enough_times = 5;
}  // namespace

void SendWindow::acknowledged(const Ticket& ticket, std::uint64_t bytes, TimePoint now) {
  delivered_ += bytes;
  const auto took = std::max<Duration>(now - ticket.at, std::chrono::microseconds(1));
  shortest_ = std::min(shortest_, took);
  // All that arrived meanwhile, of this piece and of those under way with it.
  rates_.push_back(static_cast<double>(delivered_ - ticket.delivered) /
                   std::chrono::duration<double>(took).count());
  if (rates_.size() > remembered_rates) rates_.pop_front();
  const auto held = rate() * std::chrono::duration<double>(shortest_).count();
  bytes_ = std::clamp(static_cast<std::uint64_t>(2 * held), least_, most_);
}

SendPatience::Writer SendPatience::join() {
  writers_.emplace_back();
  return writers_.size() - 1;
}

void SendPatience::took(Writer writer, Duration d, TimePoint now) {
  --writers_[writer].under_way;
  writers_[writer].last = now;
  if (recent_.size() < remembered_times) {
    recent_.push_back(d);
  } else {
    recent_[at_++ % remembered_times] = d;
  }
}

Duration SendPatience::patience() const {
  const auto most = std::max(least_, most_);
  if (recent_.size() < enough_times) return most;
  auto sorted = recent_;
  const auto nearly_all = sorted.size() * 9 / 10;
  std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(nearly_all));
  if (sorted[nearly_all] > most / 5) return most;
  return std::clamp(5 * sorted[nearly_all], least_, most);
}

bool SendPatience::overdue(Writer writer, TimePoint since, TimePoint now) const {
  if (now - since < patience()) return false;
  std::size_t others = 0, going_on = 0;
  for (Writer i = 0; i < writers_.size(); ++i) {
    if (i == writer) continue;
    ++others;
    going_on += writers_[i].under_way == 0 || writers_[i].last > since;
  }
  return others > 0 && 2 * going_on >= others;
}

TimePoint SendPatience::next_look(TimePoint since, TimePoint now) const {
  // Others' answers may make us less patient, and a line that was down may come back.
  const auto soon = now + std::max<Duration>(least_ / 4, std::chrono::milliseconds(1));
  const auto due = since + patience();
  return due > now ? std::min(due, now + least_) : soon;
}

}  // namespace lafs::grid
