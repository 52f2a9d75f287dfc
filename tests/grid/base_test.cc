// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "grid/base/base32.h"
#include "grid/base/log.h"
#include "grid/base/log_setup.h"
#include "grid/base/netstring.h"
#include "grid/base/offload.h"
#include "grid/base/ranges.h"
#include "grid/base/task.h"

using namespace lafs;
using namespace std::chrono_literals;

TEST_CASE("base32 refuses what no encoder writes") {
  CHECK(base32(as_bytes("hello")) == "nbswy3dp");
  CHECK(from_base32("nbswy3dp") == to_bytes("hello"));
  CHECK(from_base32("").has_value());
  for (auto bad : {"a", "aaa", "aaaaaa", "AA", "ab", "ac", "a=", "mfr1", "aa\n"}) {
    INFO(bad);
    CHECK_FALSE(from_base32(bad).has_value());
  }
}

TEST_CASE("the lax base32 decoder drops one stray bit and no more") {
  CHECK(from_base32_lax("ac") == Bytes{0});
  CHECK(from_base32_lax("aaai") == Bytes{0, 0});
  CHECK_FALSE(from_base32_lax("ab").has_value());
  CHECK_FALSE(from_base32_lax("aaab").has_value());
}

TEST_CASE("base64 round trips in both alphabets") {
  std::mt19937 rng(1);
  for (std::size_t n = 0; n < 70; ++n) {
    Bytes raw(n);
    for (auto& b : raw) b = static_cast<std::uint8_t>(rng());
    CHECK(from_base64(base64(raw)) == raw);
    CHECK(from_base64url(base64url(raw)) == raw);
  }
  CHECK_FALSE(from_base64("abc").has_value());
  CHECK_FALSE(from_base64("a===").has_value());
}

TEST_CASE("a netstring that claims more than is there is refused") {
  for (auto bad : {"", ":", "5", "5:hello", "6:hello,", "5:hello;", "-1:a,", "+1:a,", " 1:a,",
                   "99999999999999999999999:a,", "18446744073709551615:a,"}) {
    INFO(bad);
    auto view = as_bytes(bad);
    CHECK_FALSE(take_netstring(view).has_value());
  }
  auto view = as_bytes("5:hello,0:,x");
  CHECK(as_text(take_netstring(view).value()) == "hello");
  CHECK(take_netstring(view).value().empty());
  CHECK(as_text(view) == "x");
}

TEST_CASE("a RangeSet says what a plain set of offsets says") {
  std::mt19937 rng(7);
  for (int round = 0; round < 200; ++round) {
    RangeSet set;
    std::set<std::uint64_t> plain;
    for (int step = 0; step < 40; ++step) {
      std::uint64_t a = rng() % 60, b = a + rng() % 12;
      if (rng() % 3) {
        set.add({a, b});
        for (auto i = a; i < b; ++i) plain.insert(i);
      } else {
        set.remove({a, b});
        for (auto i = a; i < b; ++i) plain.erase(i);
      }
      REQUIRE(set.total() == plain.size());
      std::uint64_t c = rng() % 60, d = c + rng() % 12;
      std::size_t there = 0;
      for (auto i = c; i < d; ++i) there += plain.count(i);
      CHECK(set.contains({c, d}) == (there == d - c));
      CHECK(set.overlaps({c, d}) == (there > 0));
      std::uint64_t present = 0, missing = 0;
      for (auto r : set.present({c, d})) present += r.size();
      for (auto r : set.missing({c, d})) missing += r.size();
      CHECK(present == there);
      CHECK(missing == d - c - there);
    }
    auto all = set.ranges();
    for (std::size_t i = 1; i < all.size(); ++i) CHECK(all[i - 1].end < all[i].begin);
  }
}

TEST_CASE("the log keeps the kind of a cap and drops its keys") {
  CHECK(log::redact("read URI:CHK:abc:def:3:10:100 failed") == "read URI:CHK:[redacted] failed");
  CHECK(log::redact("(URI:DIR2-RO:abc:def)") == "(URI:DIR2-RO:[redacted])");
  CHECK(log::redact("URI:DIR2:abc:def/some/path") == "URI:DIR2:[redacted]/some/path");
  CHECK(log::redact("at pb://hash@127.0.0.1:80/swiss#v=1 now") ==
        "at pb://hash@127.0.0.1:80/[redacted] now");
  const auto once = log::redact("URI:DIR2:abc:def/some/path");
  CHECK(log::redact(once) == once);
  CHECK(log::redact("nothing here: /a/b") == "nothing here: /a/b");
}

namespace {
Task<> count_after(Duration d, int& counter) {
  co_await sleep_for(d);
  ++counter;
}
Task<Result<int>> answer_after(Duration d) {
  co_await sleep_for(d);
  co_return 42;
}
Task<> use_gate(Gate& gate, int& done) {
  auto pass = gate.enter();
  REQUIRE(pass);
  co_await sleep_for(5ms);
  ++done;
}
Task<> hold(Limiter& limiter, int& now, int& most) {
  auto permit = co_await limiter.acquire(1);
  most = std::max(most, ++now);
  co_await sleep_for(1ms);
  --now;
}
}  // namespace

TEST_CASE("a task group waits for all its tasks") {
  int done = 0;
  auto body = [](int& count) -> Task<> {
    TaskGroup group(co_await asio::this_coro::executor);
    for (int i = 0; i < 10; ++i) group.spawn(count_after(std::chrono::milliseconds(i), count));
    co_await group.wait_one();
    CHECK(group.running() < 10);
    co_await group.join();
  };
  run(body(done));
  CHECK(done == 10);
}

TEST_CASE("a cancelled task group ends early") {
  int done = 0;
  auto body = [](int& count) -> Task<> {
    TaskGroup group(co_await asio::this_coro::executor);
    for (int i = 0; i < 10; ++i) group.spawn(count_after(1h, count));
    group.cancel();
    co_await group.join();
  };
  run(body(done));
  CHECK(done == 10);  // they woke early and finished
}

TEST_CASE("a deadline ends a wait and says what was waited for") {
  auto late = run(within(5ms, "the answer", answer_after(1h)));
  // A task that is cancelled while asleep may still answer; then the answer counts.
  CHECK(late.has_value());
  auto in_time = run(within(1h, "the answer", answer_after(1ms)));
  CHECK(in_time == 42);
}

TEST_CASE("an inner group is cancelled with its owner") {
  auto body = []() -> Task<> {
    TaskGroup outer(co_await asio::this_coro::executor);
    int done = 0;
    auto inner = [](int& count) -> Task<> {
      TaskGroup group(co_await asio::this_coro::executor);
      group.spawn(count_after(1h, count));
      co_await group.join();
    };
    outer.spawn(inner(done));
    outer.spawn(count_after(1ms, done));
    co_await outer.wait_one();
    outer.cancel();
    co_await outer.join();
    CHECK(done == 2);
  };
  run(body());
}

TEST_CASE("a gate that is closed waits for those inside and lets nobody in") {
  auto body = []() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Gate gate(executor);
    TaskGroup group(executor);
    int done = 0;
    for (int i = 0; i < 3; ++i) group.spawn(use_gate(gate, done));
    co_await sleep_for(1ms);
    co_await gate.close();
    CHECK(done == 3);
    CHECK_FALSE(gate.enter());
    co_await group.join();
  };
  run(body());
}

TEST_CASE("a limiter never lets more in than it has room for") {
  auto body = []() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Limiter limiter(executor, 3);
    TaskGroup group(executor);
    int now = 0, most = 0;
    for (int i = 0; i < 20; ++i) group.spawn(hold(limiter, now, most));
    co_await group.join();
    CHECK(most == 3);
    CHECK(limiter.available() == 3);
  };
  run(body());
}

TEST_CASE("offloaded work runs elsewhere and comes back here") {
  Pool pool(2);
  auto here = std::this_thread::get_id();
  auto body = [](Pool& p, std::thread::id home) -> Task<> {
    auto there = co_await offload(p, [] { return std::this_thread::get_id(); });
    CHECK(there != home);
    CHECK(std::this_thread::get_id() == home);
  };
  run(body(pool, here));
}

TEST_CASE(
    "a log goes to the file it is told to, in the form it is told to, and to a new one after a "
    "turn") {
  auto folder = (std::filesystem::temp_directory_path() / "lafs-log-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()));
  const std::filesystem::path file = std::filesystem::path(folder) / "log";
  const auto content = [&] {
    std::ifstream in(file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  using Form = log::Setup::Form;
  const auto before = log::lines(log::Level::info);
  REQUIRE(log::set_up({.level = log::Level::info, .form = Form::journal, .file = file}));
  log::debug("not this");
  log::info("two\nlines of URI:CHK:secret:x:1:2:3");
  log::error("bad");
  CHECK(content() == "<6>info two\n<6>lines of URI:CHK:[redacted]\n<3>error bad\n");
  CHECK(log::lines(log::Level::info) == before + 1);
  // logrotate(8): the file is moved away, and we are told.
  std::filesystem::rename(file, file.string() + ".1");
  REQUIRE(log::set_up({.level = log::Level::debug, .form = Form::json, .file = file}));
  log::debug("new");
  CHECK(content().starts_with("{\"time\":"));
  CHECK(content().find("\"message\":\"new\"") != std::string::npos);
  // One that cannot be opened changes nothing.
  CHECK_FALSE(log::set_up({.file = std::filesystem::path(folder) / "no" / "such"}));
  log::debug("still");
  CHECK(content().find("still") != std::string::npos);
  REQUIRE(log::set_up({}));
  std::filesystem::remove_all(folder);
}
