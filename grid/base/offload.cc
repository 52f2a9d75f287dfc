// SPDX-License-Identifier: Apache-2.0
#include "grid/base/offload.h"

#include "grid/base/process_metrics.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <thread>

namespace lafs {

struct Pool::Threads {
  explicit Threads(unsigned n) : pool(n) {}
  asio::thread_pool pool;
};

namespace {
struct Figures {
  metrics::Counter& tasks = metrics::of_process().counter(
      "lafs_offload_tasks_total", "Pieces of work that went to a thread pool.");
  metrics::Histogram& waits = metrics::of_process().histogram(
      "lafs_offload_wait_seconds", "How long they waited for a thread.", metrics::latency_bounds());
};

Figures& figures() {
  static Figures out;
  return out;
}

unsigned or_all_cpus(unsigned n) {
  if (n == 0) n = std::thread::hardware_concurrency();
  return n == 0 ? 1 : n;
}
}  // namespace

Pool::Pool(unsigned threads)
    : threads_(or_all_cpus(threads)), impl_(std::make_unique<Threads>(threads_)) {}

Pool::~Pool() { impl_->pool.join(); }

Task<> Pool::run(std::function<void()> work) {
  auto home = co_await asio::this_coro::executor;
  std::exception_ptr escaped;
  auto& counted = figures();
  counted.tasks.add();
  const auto begin = std::chrono::steady_clock::now();
  auto start = [&](auto handler) {
    // The guard keeps the home io_context running while only the pool has something to do.
    auto guard = asio::prefer(home, asio::execution::outstanding_work.tracked);
    asio::post(impl_->pool, [&, guard, handler = std::move(handler)]() mutable {
      const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
      counted.waits.observe(waited.count());
      try {
        work();
      } catch (...) {
        escaped = std::current_exception();
      }
      asio::post(guard, std::move(handler));
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(start, asio::use_awaitable);
  if (escaped) std::rethrow_exception(escaped);
}

}  // namespace lafs
