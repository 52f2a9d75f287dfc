// SPDX-License-Identifier: Apache-2.0
#pragma once

// Template bodies of task.h.

#include <boost/asio/this_coro.hpp>
#include <functional>

namespace lafs {

namespace detail {
// Runs `start(executor)` on a fresh io_context until it is done; rethrows what escaped from it.
void run_to_end(std::function<Task<>(asio::any_io_executor)> start);

template <class T>
Task<> store(Task<T> task, std::optional<T>& out) {
  out.emplace(co_await std::move(task));
}
}  // namespace detail

template <class T>
Task<Result<T>> within(Duration limit, std::string what, Task<Result<T>> task) {
  auto executor = co_await asio::this_coro::executor;
  std::optional<Result<T>> out;
  TaskGroup group(executor);
  group.spawn(detail::store(std::move(task), out));
  const auto deadline = Clock::now() + limit;
  while (group.running() && Clock::now() < deadline) co_await group.wait_one(deadline);
  const bool late = group.running() > 0;
  if (late) group.cancel();
  co_await group.join();
  if (late && (!out || !*out)) co_return fail(Errc::timed_out, std::move(what));
  if (!out) co_return fail(Errc::internal, std::move(what));
  co_return std::move(*out);
}

template <class T>
T run(Task<T> task) {
  if constexpr (std::is_void_v<T>) {
    detail::run_to_end([&](asio::any_io_executor) { return std::move(task); });
  } else {
    std::optional<T> out;
    detail::run_to_end([&](asio::any_io_executor) { return detail::store(std::move(task), out); });
    return std::move(*out);
  }
}

}  // namespace lafs
