// SPDX-License-Identifier: Apache-2.0
#include "cache/upload_queue.h"

#include <catch2/catch.hpp>

using namespace lafs;
using namespace lafs::cache;
using namespace std::chrono_literals;

namespace {

using Job = UploadQueue::Job;
using Kind = UploadQueue::Kind;

const TimePoint t0{1h};

Job content(InodeNo number) { return {Kind::content, number}; }
Job names(InodeNo number) { return {Kind::names, number}; }

}  // namespace

TEST_CASE("work waits for quiet, but not for ever") {
  UploadQueue queue({});
  queue.add(names(1), 0, t0, true);
  CHECK_FALSE(queue.start(t0));
  CHECK(queue.next_due() == t0 + 200ms);
  queue.add(names(1), 0, t0 + 150ms, true);
  CHECK_FALSE(queue.start(t0 + 200ms));
  for (auto t = t0 + 300ms; t < t0 + 2s; t += 100ms) {
    CHECK_FALSE(queue.start(t));
    queue.add(names(1), 0, t, true);
  }
  CHECK(queue.start(t0 + 2s) == names(1));
  CHECK_FALSE(queue.start(t0 + 3s));
  queue.succeeded(names(1), t0 + 3s);
  CHECK(queue.size() == 0);
}

TEST_CASE("when nothing succeeds any more, one job at a time tries whether the grid is back") {
  UploadQueue queue({});
  for (InodeNo n = 1; n <= 1000; ++n) queue.add(content(n), 10, t0, false);
  unsigned tried = 0;
  while (auto job = queue.start(t0)) {
    ++tried;
    queue.failed(*job, Error{Errc::no_servers, "away"}, t0);
  }
  CHECK(tried == 8);
  CHECK(queue.away());
  REQUIRE(queue.next_due());
  CHECK(*queue.next_due() <= t0 + 1s);
  // In an hour it is tried about once a minute.
  tried = 0;
  auto now = t0;
  while (now < t0 + 1h) {
    while (auto job = queue.start(now)) {
      ++tried;
      CHECK_FALSE(queue.start(now));
      queue.failed(*job, Error{Errc::no_servers, "away"}, now);
    }
    now = std::max(now + 1ms, *queue.next_due());
  }
  CHECK(tried >= 55);
  CHECK(tried <= 150);
  // Whoever waits hears of it at once.
  queue.urge(content(700), now);
  CHECK(queue.start(now) == content(700));
  queue.failed(content(700), Error{Errc::no_servers, "away"}, now);
  // One success, and all go on.
  now = std::max(now, *queue.next_due()) + 1min;
  const auto first = queue.start(now);
  REQUIRE(first);
  queue.succeeded(*first, now);
  CHECK_FALSE(queue.away());
  unsigned running = 0;
  while (queue.start(now)) ++running;
  CHECK(running == UploadQueue::Limits{}.contents);
}

TEST_CASE("what changes while it runs runs again, and one at a time") {
  UploadQueue queue({});
  queue.add(names(1), 0, t0, false);
  REQUIRE(queue.start(t0) == names(1));
  queue.add(names(1), 0, t0, false);
  CHECK_FALSE(queue.start(t0 + 1h));
  queue.succeeded(names(1), t0);
  CHECK(queue.start(t0 + 200ms) == names(1));
}

TEST_CASE("who is waited for comes first, then small before large") {
  UploadQueue queue({});
  queue.add(content(1), 50 << 20, t0, false);
  queue.add(names(2), 0, t0, false);
  queue.add(content(3), 100, t0, false);
  queue.add({Kind::directory, 4}, 0, t0, false);
  queue.add(content(5), 40 << 20, t0, false);
  queue.urge(content(5), t0);
  std::vector<Job> order;
  while (auto job = queue.start(t0)) order.push_back(*job);
  // The budget of 64 MiB has no room for the other large one.
  CHECK(order == std::vector<Job>{content(5), {Kind::directory, 4}, content(3), names(2)});
  queue.succeeded(content(5), t0);
  CHECK(queue.start(t0) == content(1));
}

TEST_CASE("one content runs however large it is") {
  UploadQueue queue({});
  queue.add(content(1), 1ull << 40, t0, false);
  queue.add(content(2), 1ull << 40, t0, false);
  CHECK(queue.start(t0) == content(1));
  CHECK_FALSE(queue.start(t0));
}

TEST_CASE("failures are tried again for ever, ever less often") {
  UploadQueue queue({});
  queue.add(content(1), 5, t0, false);
  auto now = t0;
  Duration last{};
  for (int attempt = 1; attempt <= 20; ++attempt) {
    REQUIRE(queue.start(now) == content(1));
    queue.failed(content(1), Error{Errc::unreachable, "away"}, now);
    REQUIRE(queue.next_due().has_value());
    last = *queue.next_due() - now;
    CHECK(last <= 60s);
    CHECK(last >= 500ms);
    CHECK_FALSE(queue.start(now + 499ms));
    // More changes do not make it hurry.
    queue.add(content(1), 6, now, false);
    CHECK(*queue.next_due() == now + last);
    now += last;
  }
  CHECK(last >= 30s);
  const auto* state = queue.find(content(1));
  REQUIRE(state);
  CHECK(state->attempts == 20);
  CHECK(state->error->context == "away");

  SECTION("somebody who waits makes it hurry") {
    queue.failed(content(2), Error{Errc::io, ""}, now);  // unknown: nothing happens
    REQUIRE(queue.start(now));
    queue.failed(content(1), Error{Errc::unreachable, "away"}, now);
    queue.urge(content(1), now);
    CHECK(queue.start(now) == content(1));
  }
  SECTION("and so does the success of another") {
    REQUIRE(queue.start(now));
    queue.failed(content(1), Error{Errc::unreachable, "away"}, now);
    queue.add(names(2), 0, now, false);
    queue.urge(names(2), now);  // the grid is taken to be away: others have to wait
    REQUIRE(queue.start(now) == names(2));
    queue.succeeded(names(2), now);
    CHECK(queue.start(now + 1s) == content(1));
  }
}

TEST_CASE("what is not needed any more does not run") {
  UploadQueue queue({});
  queue.add(content(1), 5, t0, true);
  queue.remove(content(1));
  CHECK(queue.size() == 0);
  CHECK_FALSE(queue.start(t0 + 1h));
  queue.add(content(1), 5, t0, false);
  REQUIRE(queue.start(t0));
  queue.add(content(1), 5, t0, false);
  queue.remove(content(1));
  queue.succeeded(content(1), t0);
  CHECK(queue.size() == 0);
}
