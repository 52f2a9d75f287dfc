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
  const auto held =
      *std::ranges::max_element(rates_) * std::chrono::duration<double>(shortest_).count();
  bytes_ = std::clamp(static_cast<std::uint64_t>(2 * held), least_, most_);
}

void SendPatience::took(Duration d) {
  if (recent_.size() < remembered_times) {
    recent_.push_back(d);
  } else {
    recent_[at_++ % remembered_times] = d;
  }
}

Duration SendPatience::patience() const {
  if (recent_.size() < enough_times) return most_;
  auto sorted = recent_;
  const auto nearly_all = sorted.size() * 9 / 10;
  std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(nearly_all));
  const auto most = std::max(least_, most_);
  if (sorted[nearly_all] > most / 10) return most;
  return std::clamp(10 * sorted[nearly_all], least_, most);
}

}  // namespace lafs::grid
