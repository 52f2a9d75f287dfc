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

}  // namespace lafs::grid
