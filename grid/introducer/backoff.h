// SPDX-License-Identifier: Apache-2.0
#pragma once

// How long to wait before trying again: 1 s, growing by e with some jitter, an hour at most
// (spec/storage 8.5). Plain: chance is passed in.

#include <algorithm>
#include <chrono>
#include <numbers>

namespace lafs::grid::introducer {

class Backoff {
 public:
  using Seconds = std::chrono::duration<double>;

  // `chance`: normally distributed around 0 with deviation 1.
  Seconds failed(double chance) {
    const auto now = delay_;
    delay_ = std::clamp(delay_ * std::numbers::e * (1 + 0.12 * chance), Seconds(1), Seconds(3600));
    return now;
  }
  void worked() { delay_ = Seconds(1); }

 private:
  Seconds delay_{1};
};

}  // namespace lafs::grid::introducer
