// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/measure.h"

#include <algorithm>
#include <array>

namespace lafs::cli {

double rate(std::chrono::nanoseconds budget, const std::function<void()>& step) {
  using Clock = std::chrono::steady_clock;
  step();  // the first one fills caches and fetches algorithms
  std::array<double, 5> rounds;
  for (double& per_second : rounds) {
    const auto begin = Clock::now();
    const auto end = begin + budget / rounds.size();
    std::uint64_t steps = 0;
    auto now = begin;
    do {
      step();
      ++steps;
      now = Clock::now();
    } while (now < end);
    // A clock that did not move between two readings counts as one tick.
    const auto elapsed = std::max(now - begin, Clock::duration(1));
    per_second = static_cast<double>(steps) / std::chrono::duration<double>(elapsed).count();
  }
  std::ranges::nth_element(rounds, rounds.begin() + rounds.size() / 2);
  return rounds[rounds.size() / 2];
}

}  // namespace lafs::cli
