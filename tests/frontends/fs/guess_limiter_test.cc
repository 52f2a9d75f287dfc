// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/guess_limiter.h"

#include <catch2/catch.hpp>

namespace lafs::fs {
namespace {

using std::chrono::seconds;

GuessLimiter limiter() {
  GuessLimiter::Options options;
  options.address_limit = 3;
  options.account_limit = 5;
  options.forget = seconds(10);
  options.entries = 8;
  return GuessLimiter(options);
}

TEST_CASE("an address that failed too often waits, and may try again one by one") {
  auto guesses = limiter();
  const TimePoint start{};
  for (int i = 0; i < 3; ++i) {
    CHECK(guesses.may_try("192.0.2.1", "a", start));
    guesses.failed("192.0.2.1", "a", start);
  }
  CHECK_FALSE(guesses.may_try("192.0.2.1", "b", start));
  CHECK(guesses.may_try("192.0.2.2", "a", start));
  CHECK_FALSE(guesses.may_try("192.0.2.1", "a", start + seconds(9)));
  CHECK(guesses.may_try("192.0.2.1", "a", start + seconds(10)));
  guesses.failed("192.0.2.1", "a", start + seconds(10));
  CHECK_FALSE(guesses.may_try("192.0.2.1", "a", start + seconds(11)));
  CHECK(guesses.may_try("192.0.2.1", "a", start + seconds(60)));
}

TEST_CASE("guessing one account from everywhere ends, and its owner still gets in") {
  auto guesses = limiter();
  const TimePoint start{};
  guesses.succeeded("198.51.100.7", "a", start);
  for (int i = 0; i < 5; ++i) guesses.failed("192.0.2." + std::to_string(i), "a", start);
  CHECK_FALSE(guesses.may_try("203.0.113.1", "a", start));
  CHECK(guesses.may_try("203.0.113.1", "b", start));
  CHECK(guesses.may_try("198.51.100.7", "a", start));
  // What it knows of one account says nothing of another.
  CHECK_FALSE(guesses.may_try("198.51.100.7", "a", start + std::chrono::hours(24 * 8)) !=
              guesses.may_try("198.51.100.7", "b", start));
}

TEST_CASE("a good login does not buy more guesses") {
  auto guesses = limiter();
  const TimePoint start{};
  for (int i = 0; i < 3; ++i) guesses.failed("192.0.2.1", "a", start);
  guesses.succeeded("192.0.2.1", "mine", start);
  CHECK_FALSE(guesses.may_try("192.0.2.1", "a", start));
}

TEST_CASE("one IPv6 network is one address, and mapped IPv4 is IPv4") {
  CHECK(GuessLimiter::source("2001:db8::1") == GuessLimiter::source("2001:db8::ffff:1"));
  CHECK(GuessLimiter::source("2001:db8::1") != GuessLimiter::source("2001:db8:0:1::1"));
  CHECK(GuessLimiter::source("::ffff:192.0.2.1") == "192.0.2.1");
}

TEST_CASE("its memory is bounded, and the oldest entries go") {
  auto guesses = limiter();
  const TimePoint start{};
  for (int i = 0; i < 3; ++i) guesses.failed("10.0.0.1", "", start);
  for (int i = 0; i < 100; ++i)
    guesses.failed("10.1.0." + std::to_string(i), std::string(100'000, 'x') + "y",
                   start + seconds(1));
  CHECK(guesses.may_try("10.0.0.1", "", start + seconds(1)));  // forgotten for the newer ones
  for (int i = 0; i < 3; ++i) guesses.failed("10.0.0.1", "", start + seconds(1));
  CHECK_FALSE(guesses.may_try("10.0.0.1", "", start + seconds(1)));
}

}  // namespace
}  // namespace lafs::fs
