// SPDX-License-Identifier: Apache-2.0
#include "cache/pace.h"

#include <catch2/catch.hpp>

using namespace lafs;
using lafs::cache::Pace;
using namespace std::chrono_literals;

TEST_CASE("uploads wait for their turn while a drive is in use, and not otherwise") {
  Pace pace;
  auto now = TimePoint{} + 1h;
  CHECK_FALSE(pace.hold(Pace::Step::job, now));
  CHECK_FALSE(pace.hold(Pace::Step::job, now));

  // Now and then a request: nobody waits.
  for (int i = 0; i < 20; ++i) {
    pace.used(1, now += 20ms);
    CHECK_FALSE(pace.busy(now));
  }

  // A thousand requests a second for a second: ten jobs, forty pieces.
  int jobs = 0, pieces = 0;
  for (int i = 0; i < 1000; ++i) {
    pace.used(1, now += 1ms);
    const auto job = pace.hold(Pace::Step::job, now), piece = pace.hold(Pace::Step::piece, now);
    if (i < 50) continue;  // it has to be noticed first
    CHECK(pace.busy(now));
    jobs += !job;
    pieces += !piece;
    if (job) CHECK(*job > now);
    if (job) CHECK(*job <= now + 25ms);
  }
  CHECK(jobs >= 8);
  CHECK(jobs <= 10);
  CHECK(pieces >= 30);
  CHECK(pieces <= 40);

  now += 30ms;  // a lull
  CHECK_FALSE(pace.busy(now));
  CHECK_FALSE(pace.hold(Pace::Step::job, now));
  CHECK_FALSE(pace.hold(Pace::Step::job, now));
}
