// SPDX-License-Identifier: Apache-2.0
#include "frontends/supervisor.h"

#include <catch2/catch.hpp>
#include <deque>

#include "grid/base/task_inl.h"

using namespace lafs;
using namespace std::chrono_literals;

namespace {

// Plays what it is told to, one start after another: fails with that word, or serves ("").
class Player {
 public:
  explicit Player(std::deque<std::string> script) : script_(std::move(script)) {}
  Supervisor::Run run() {
    return [this](Stop& stop, Supervisor::State& state) { return play(stop, state); };
  }
  int starts() const { return starts_; }
  int ends() const { return ends_; }

 private:
  Task<Result<>> play(Stop& stop, Supervisor::State& state) {
    ++starts_;
    std::string word;
    if (!script_.empty()) {
      word = script_.front();
      script_.pop_front();
    }
    if (!word.empty()) co_return fail(Errc::busy, word);
    state.serving = true;
    state.where = "here";
    co_await stop.wait();
    ++ends_;
    co_return Result<>{};
  }

  std::deque<std::string> script_;
  int starts_ = 0, ends_ = 0;
};

Supervisor::State state_of(const Supervisor& supervisor, std::string_view name) {
  for (const auto& state : supervisor.states())
    if (state.name == name) return state;
  return {};
}

// The test's own time limit ends what never comes.
Task<> until(std::function<bool()> condition) {
  while (!condition()) co_await sleep_for(1ms);
}

constexpr Supervisor::Waits quick{.first = 1ms, .longest = 4ms};

}  // namespace

TEST_CASE("a part that fails is started again, and the others go on meanwhile") {
  run([]() -> Task<> {
    Supervisor supervisor(co_await asio::this_coro::executor, quick);
    Player steady({}), shaky({"port in use", "port in use", "port in use"});
    supervisor.set("steady", "", steady.run());
    supervisor.set("shaky", "", shaky.run());
    co_await until([&] { return state_of(supervisor, "shaky").serving; });
    CHECK(shaky.starts() == 4);
    CHECK(state_of(supervisor, "shaky").failures == 3);
    CHECK(state_of(supervisor, "shaky").why.find("port in use") != std::string::npos);
    CHECK(steady.starts() == 1);
    CHECK(state_of(supervisor, "steady").serving);
    CHECK(state_of(supervisor, "steady").where == "here");
    co_await supervisor.close();
    CHECK(steady.ends() == 1);
    CHECK(shaky.ends() == 1);
    CHECK(supervisor.states().empty());
  }());
}

TEST_CASE("a part that never works is asked again and again, and ends when told to") {
  run([]() -> Task<> {
    Supervisor supervisor(co_await asio::this_coro::executor, quick);
    Player hopeless(std::deque<std::string>(1000, "no"));
    supervisor.set("hopeless", "", hopeless.run());
    co_await until([&] { return hopeless.starts() >= 5; });
    CHECK_FALSE(state_of(supervisor, "hopeless").serving);
    co_await supervisor.close();
  }());
}

TEST_CASE("new settings make a part anew; the same leave it alone; without it, it ends") {
  run([]() -> Task<> {
    Supervisor supervisor(co_await asio::this_coro::executor, quick);
    Player one({}), two({}), other({});
    supervisor.set("part", "port 1", one.run());
    supervisor.set("other", "", other.run());
    co_await until([&] { return state_of(supervisor, "part").serving; });
    supervisor.set("part", "port 1", two.run());
    co_await sleep_for(5ms);
    CHECK(one.ends() == 0);
    supervisor.set("part", "port 2", two.run());
    co_await until([&] { return two.starts() == 1; });
    CHECK(one.ends() == 1);  // ended before: they cannot have one port at a time
    supervisor.keep_only({"other"});
    co_await until([&] { return supervisor.states().size() == 1; });
    CHECK(two.ends() == 1);
    CHECK(other.ends() == 0);
    // Taken out and put back at once: it comes back.
    supervisor.keep_only({});
    supervisor.set("other", "", other.run());
    co_await until([&] { return other.starts() == 2; });
    co_await supervisor.close();
  }());
}

TEST_CASE("a part that is waiting for its next try takes new settings at once") {
  run([]() -> Task<> {
    Supervisor supervisor(co_await asio::this_coro::executor, {.first = 1h, .longest = 1h});
    Player wrong({"no such directory"}), right({});
    supervisor.set("mount", "/wrong", wrong.run());
    co_await until([&] { return state_of(supervisor, "mount").failures == 1; });
    supervisor.set("mount", "/right", right.run());
    co_await until([&] { return state_of(supervisor, "mount").serving; });
    CHECK(state_of(supervisor, "mount").failures == 0);
    co_await supervisor.close();
  }());
}
