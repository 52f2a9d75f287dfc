// SPDX-License-Identifier: Apache-2.0
#pragma once

// Cleaning up after a cancellation: the cancelled task still has calls to make.

#include <boost/asio/this_coro.hpp>

#include "grid/base/task.h"

namespace lafs::grid {

namespace detail {
inline Task<> then_say(Task<> task, Signal& signal, bool& done) {
  co_await std::move(task);
  done = true;
  signal.notify();
}
inline Task<> wait_until(Signal& signal, const bool& done, TimePoint deadline) {
  while (!done && Clock::now() < deadline) co_await signal.wait(deadline);
}
}  // namespace detail

// Runs `task` to its own end even when the caller is cancelled. The task must be bounded in time.
inline Task<> shielded(Task<> task) {
  auto executor = co_await asio::this_coro::executor;
  TaskGroup group(executor);
  Signal signal(executor);
  bool done = false;
  group.spawn(detail::then_say(std::move(task), signal, done));
  while (!done) co_await signal.wait_shielded();
  co_await group.join();
}

// Waits for all tasks of `group`. When the caller is cancelled they have `grace` left to end by
// themselves: for requests that cannot be taken back once they are under way.
inline Task<> join_with_grace(TaskGroup& group, Duration grace) {
  auto executor = co_await asio::this_coro::executor;
  TaskGroup waiting(executor);
  Signal signal(executor);
  bool done = false;
  waiting.spawn(detail::then_say(group.join(), signal, done));
  bool stop = false;
  while (!done && !stop) {
    co_await signal.wait();
    stop = co_await stop_requested();
  }
  if (!done) co_await shielded(detail::wait_until(signal, done, Clock::now() + grace));
  if (!done) waiting.cancel();
  co_await waiting.join();
}

}  // namespace lafs::grid
