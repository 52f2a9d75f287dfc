// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/share_chooser.h"

#include <catch2/catch.hpp>
#include <random>

#include "grid/immutable/span_store.h"

using namespace lafs;
using namespace lafs::grid;
using namespace std::chrono_literals;

namespace {

const TimePoint start{};
constexpr ShareId id(ServerNo server, std::uint64_t number) { return {server, {number}}; }

ShareChooser with_shares(std::uint64_t n, Duration rtt = 1ms) {
  ShareChooser chooser(n);
  for (std::uint64_t i = 0; i < n; ++i) chooser.found(id(i, i), rtt);
  return chooser;
}

// Starts all that the chooser wants, and says what.
std::vector<ShareId> start_all(ShareChooser& chooser, SegmentFetch& fetch, TimePoint now,
                               bool last_resort = false) {
  std::vector<ShareId> out;
  while (auto next = chooser.next(fetch, now, last_resort)) {
    fetch.started(*next, now);
    out.push_back(*next);
  }
  return out;
}

}  // namespace

TEST_CASE("exactly k shares of distinct numbers are asked for") {
  auto chooser = with_shares(10);
  chooser.found(id(11, 0), 1us);
  SegmentFetch fetch(3);
  const auto first = start_all(chooser, fetch, start);
  CHECK(first.size() == 3);
  CHECK(fetch.covered());
  CHECK_FALSE(fetch.enough());
  for (auto share : first) fetch.succeeded(share);
  CHECK(fetch.enough());
  CHECK_FALSE(chooser.next(fetch, start, true));
}

TEST_CASE("requests spread over servers before any server gets a second one") {
  ShareChooser chooser(10);
  for (std::uint64_t i = 0; i < 10; ++i) chooser.found(id(0, i), 1ms);
  chooser.found(id(1, 5), 1ms);
  SegmentFetch fetch(3);
  const auto asked = start_all(chooser, fetch, start);
  REQUIRE(asked.size() == 3);
  CHECK(asked[0] == id(0, 0));
  CHECK(asked[1] == id(1, 5));
  CHECK(asked[2] == id(0, 1));
}

TEST_CASE("a chooser with all shares on one server asks it for k of them") {
  ShareChooser chooser(10);
  for (std::uint64_t i = 0; i < 10; ++i) chooser.found(id(0, i), 1ms);
  SegmentFetch fetch(3);
  CHECK(start_all(chooser, fetch, start).size() == 3);
}

TEST_CASE("quick servers are asked before others") {
  ShareChooser chooser(10);
  chooser.found(id(0, 0), 300ms);
  chooser.found(id(1, 1), 2ms);
  chooser.found(id(2, 2), 40ms);
  SegmentFetch fetch(2);
  CHECK(start_all(chooser, fetch, start) == std::vector{id(1, 1), id(2, 2)});
}

TEST_CASE("a request that waits too long is replaced, and its answer is still taken") {
  auto chooser = with_shares(4);
  SegmentFetch fetch(3);
  const auto first = start_all(chooser, fetch, start);
  CHECK(fetch.next_check(1s) == start + 500ms);
  CHECK_FALSE(fetch.check_suspicious(start + 499ms, 1s));
  CHECK(fetch.check_suspicious(start + 500ms, 1s));
  CHECK_FALSE(fetch.check_suspicious(start + 600ms, 1s));  // once
  CHECK(fetch.next_check(1s) == start + 1s);
  CHECK(fetch.check_overdue(start + 999ms, 1s).empty());
  fetch.succeeded(first[1]);
  fetch.succeeded(first[2]);
  CHECK(fetch.check_overdue(start + 1s, 1s) == std::vector{first[0]});
  CHECK(fetch.check_overdue(start + 2s, 1s).empty());
  chooser.overdue(first[0].server);
  CHECK(start_all(chooser, fetch, start + 1s) == std::vector{id(3, 3)});
  fetch.succeeded(first[0]);
  CHECK(fetch.enough());
}

TEST_CASE("a hedge goes to a server that has answered since it was roused") {
  auto chooser = with_shares(7);
  SegmentFetch fetch(3);
  const auto first = start_all(chooser, fetch, start);
  chooser.failed(id(6, 6), {Errc::unreachable, ""}, start);
  chooser.overdue(5);
  CHECK(chooser.standby(fetch, start + 500ms) == std::vector{id(3, 3), id(4, 4)});
  chooser.roused(3);
  chooser.roused(4);
  CHECK(chooser.standby(fetch, start + 500ms).empty());  // they have been asked
  chooser.awake(4);
  CHECK(chooser.standby(fetch, start + 500ms) == std::vector{id(4, 4)});
  fetch.check_overdue(start + 1s, 1s);
  for (auto one : first) chooser.overdue(one.server);
  // The one that is there, then the one that may be, then the slow ones.
  CHECK(start_all(chooser, fetch, start + 1s) == std::vector{id(4, 4), id(3, 3), id(5, 5)});
}

TEST_CASE("a server that was slow is asked last, until it has been quick again") {
  auto chooser = with_shares(4);
  chooser.overdue(0);
  SegmentFetch fetch(3);
  CHECK(start_all(chooser, fetch, start) == std::vector{id(1, 1), id(2, 2), id(3, 3)});
  SegmentFetch all(4);
  CHECK(start_all(chooser, all, start).size() == 4);
  chooser.answered(id(0, 0), 1ms);
  SegmentFetch again(3);
  CHECK(start_all(chooser, again, start).front() == id(0, 0));
}

TEST_CASE(
    "a share that lied is used only when nothing else is left, and not for the same segment") {
  auto chooser = with_shares(4);
  SegmentFetch fetch(3);
  const auto first = start_all(chooser, fetch, start);
  fetch.failed(first[0]);
  chooser.failed(first[0], {Errc::corrupt, "lies"}, start);
  CHECK(start_all(chooser, fetch, start) == std::vector{id(3, 3)});
  fetch.failed(id(3, 3));
  chooser.failed(id(3, 3), {Errc::corrupt, "lies"}, start);
  CHECK(start_all(chooser, fetch, start, true).empty());
  SegmentFetch other(3);
  CHECK(start_all(chooser, other, start).size() == 2);
  CHECK(start_all(chooser, other, start, true).size() == 1);
}

TEST_CASE("a share that could not be reached is tried again after a while") {
  auto chooser = with_shares(3);
  chooser.failed(id(0, 0), {Errc::unreachable, ""}, start);
  SegmentFetch fetch(3);
  CHECK(start_all(chooser, fetch, start, true).size() == 2);
  SegmentFetch later(3);
  CHECK(start_all(chooser, later, start + 4s).size() == 2);
  CHECK(start_all(chooser, later, start + 5s) == std::vector{id(0, 0)});
  // Each further failure doubles the time.
  chooser.failed(id(0, 0), {Errc::timed_out, ""}, start + 5s);
  SegmentFetch again(3);
  CHECK(start_all(chooser, again, start + 14s).size() == 2);
  CHECK(start_all(chooser, again, start + 15s) == std::vector{id(0, 0)});
  chooser.answered(id(0, 0), 1ms);
  SegmentFetch healthy(3);
  CHECK(start_all(chooser, healthy, start).size() == 3);
}

TEST_CASE("a server that fails is left alone with all its shares") {
  ShareChooser chooser(6);
  for (std::uint64_t i = 0; i < 6; ++i) chooser.found(id(i % 3, i), 1ms);
  chooser.failed(id(0, 0), {Errc::unreachable, ""}, start);
  SegmentFetch fetch(5);
  for (auto asked : start_all(chooser, fetch, start)) CHECK(asked.server != 0);
  CHECK(start_all(chooser, fetch, start + 5s).size() == 1);
  // A share that the server does not have (any more) says nothing about its others.
  ShareChooser other(6);
  for (std::uint64_t i = 0; i < 6; ++i) other.found(id(i % 3, i), 1ms);
  other.failed(id(0, 0), {Errc::not_found, ""}, start);
  SegmentFetch five(5);
  CHECK(start_all(other, five, start).size() == 5);
}

TEST_CASE("patience follows the answers within bounds") {
  auto chooser = with_shares(3);
  CHECK(chooser.patience() == 1s);
  for (int i = 0; i < 40; ++i) chooser.answered(id(0, 0), 1ms);
  CHECK(chooser.patience() == 300ms);
  for (int i = 0; i < 64; ++i) chooser.answered(id(0, 0), 800ms);
  CHECK(chooser.patience() == 1600ms);
  for (int i = 0; i < 64; ++i) chooser.answered(id(0, 0), 1h);
  CHECK(chooser.patience() == 5s);
}

TEST_CASE("some servers that have become slow do not make us patient, all of them do") {
  auto chooser = with_shares(3);
  for (int i = 0; i < 64; ++i) chooser.answered(id(0, 0), 10ms);
  for (int i = 0; i < 64; ++i) {
    chooser.answered(id(1, 1), 1s);
    chooser.answered(id(2, 2), 1s);
    chooser.answered(id(0, 0), 10ms);
  }
  CHECK(chooser.patience() == 300ms);
  for (int i = 0; i < 64; ++i)
    chooser.answered(id(static_cast<ServerNo>(i % 3), static_cast<std::uint64_t>(i % 3)), 1s);
  CHECK(chooser.patience() > 1s);
}

TEST_CASE("numbers that no share of the file has are ignored") {
  ShareChooser chooser(3);
  chooser.found(id(0, 3), 1ms);
  chooser.found(id(0, 255), 1ms);
  CHECK(chooser.distinct_numbers() == 0);
  SegmentFetch fetch(1);
  CHECK_FALSE(chooser.next(fetch, start, true));
}

TEST_CASE("whatever fails, a fetch asks each share once at most and ends") {
  std::mt19937 rng(5);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t n = 1 + rng() % 8, k = 1 + rng() % n;
    ShareChooser chooser(n);
    std::set<std::uint64_t> good_numbers;
    std::map<ShareId, bool> good;
    for (int i = 0; i < 12; ++i) {
      const auto share = id(rng() % 5, rng() % n);
      chooser.found(share, std::chrono::milliseconds(rng() % 100));
      good[share] = rng() % 2;
    }
    for (auto& [share, is_good] : good) {
      if (is_good) good_numbers.insert(share.number.value);
    }
    SegmentFetch fetch(k);
    std::set<ShareId> asked;
    auto now = start;
    for (;;) {
      std::vector<ShareId> active = start_all(chooser, fetch, now, true);
      if (active.empty()) break;
      for (auto share : active) {
        CHECK(asked.insert(share).second);
        if (rng() % 3 == 0) fetch.check_overdue(now + 10s, 1s);
        if (good[share]) {
          fetch.succeeded(share);
        } else {
          fetch.failed(share);
          chooser.failed(share, {rng() % 2 ? Errc::corrupt : Errc::unreachable, ""}, now);
        }
      }
    }
    CHECK(fetch.idle());
    CHECK(fetch.enough() == (good_numbers.size() >= k));
  }
}

TEST_CASE("a span store gives what a plain array gives") {
  std::mt19937 rng(9);
  for (int round = 0; round < 200; ++round) {
    Bytes share(50 + rng() % 50);
    for (auto& b : share) b = static_cast<std::uint8_t>(rng());
    SpanStore store;
    std::vector<bool> have(200);
    bool end_seen = false;
    for (int step = 0; step < 30; ++step) {
      const std::uint64_t a = rng() % 110, b = a + 1 + rng() % 30;
      if (rng() % 2) {
        Bytes answer;
        for (auto i = a; i < std::min<std::uint64_t>(b, share.size()); ++i) {
          answer.push_back(share[i]);
          have[i] = true;
        }
        end_seen = end_seen || b > share.size();
        if (a <= share.size()) store.add({a, b}, answer);
      }
      bool all = true;
      for (auto i = a; i < b; ++i) all = all && have[i];
      const auto got = store.get({a, b});
      CHECK(got.has_value() == all);
      if (got) CHECK(equal(*got, ByteView(share).subspan(a, b - a)));
      for (auto r : store.missing({a, b})) {
        for (auto i = r.begin; i < r.end; ++i) CHECK_FALSE(have[i]);
      }
      if (rng() % 4 > 0) continue;
      const auto taken = store.take({a, b});
      CHECK(taken == got);
      for (auto i = a; i < b; ++i) have[i] = store.get({i, i + 1}).has_value();
    }
  }
}

TEST_CASE("an answer that is longer than asked for is cut") {
  SpanStore store;
  store.add({10, 12}, Bytes{1, 2, 3, 4});
  CHECK(store.get({10, 12}) == Bytes{1, 2});
  CHECK_FALSE(store.get({12, 13}));
  CHECK_FALSE(store.past_end({12, 13}));
  store.add({12, 20}, Bytes{9});
  CHECK(store.past_end({12, 14}));
  CHECK(store.missing({13, 20}).empty());
  CHECK(store.take({12, 13}) == Bytes{9});
  CHECK(store.get({10, 12}) == Bytes{1, 2});
  CHECK_FALSE(store.get({12, 13}));
  CHECK(store.bytes() == 2);
}

TEST_CASE("ranges close to each other are read in one go") {
  using Ranges = std::vector<ByteRange>;
  CHECK(joined(Ranges{{50, 60}, {0, 10}, {12, 20}, {5, 5}}, 4) == Ranges{{0, 20}, {50, 60}});
  CHECK(joined(Ranges{{0, 100}, {10, 20}}, 1) == Ranges{{0, 100}});
  CHECK(joined({}, 1).empty());
}
