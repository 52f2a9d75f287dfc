// SPDX-License-Identifier: Apache-2.0
#include "cache/pace.h"

#include <algorithm>

namespace lafs::cache {

void Pace::used(unsigned requests, TimePoint now) {
  if (now - window_began_ >= window) {
    in_last_window_ = now - window_began_ < 2 * window ? in_window_ : 0;
    in_window_ = 0;
    window_began_ = now;
  }
  in_window_ += requests;
  last_use_ = now;
}

bool Pace::busy(TimePoint now) const {
  return now - last_use_ < lull && std::max(in_window_, in_last_window_) >= many;
}

std::optional<TimePoint> Pace::hold(Step step, TimePoint now) {
  if (!busy(now)) return std::nullopt;
  const auto kind = static_cast<std::size_t>(step);
  const auto next = last_turn_[kind] + turn[kind];
  if (now < next) return std::min(next, now + lull);
  last_turn_[kind] = now;
  return std::nullopt;
}

}  // namespace lafs::cache
