// SPDX-License-Identifier: Apache-2.0
#pragma once

// At most so many bytes a second, for whoever shares it. I/O thread only.

#include "grid/base/task.h"

namespace lafs {

class Throttle {
 public:
  explicit Throttle(std::uint64_t bytes_per_second)
      : per_second_(static_cast<double>(bytes_per_second)) {}

  // Returns when it is the turn of `bytes` more, or when this task is cancelled.
  Task<> take(std::uint64_t bytes) {
    const auto now = Clock::now();
    const auto turn = free_ < now ? now : free_;
    const auto cost = std::chrono::duration<double>(static_cast<double>(bytes) / per_second_);
    free_ = turn + std::chrono::duration_cast<Duration>(cost);
    if (turn > now) co_await sleep_for(turn - now);
  }

 private:
  double per_second_;
  TimePoint free_{};
};

}  // namespace lafs
