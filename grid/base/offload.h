// SPDX-License-Identifier: Apache-2.0
#pragma once

// CPU work and disk syncs leave the I/O thread: `auto x = co_await offload(pool, fn);` runs fn on a
// pool thread and resumes here. A round trip costs 4 us on one CPU and 20-100 us across CPUs, so
// it pays from about 50 us of work; a memory look-up or page-cache read is answered inline.

#include <functional>
#include <memory>
#include <optional>

#include "grid/base/task.h"

namespace lafs {

// The threads for work that is not I/O. Every started piece of work ends before ~Pool returns.
class Pool {
 public:
  // 0 threads means one for each CPU.
  explicit Pool(unsigned threads = 0);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  unsigned threads() const { return threads_; }
  // Runs `work` on a pool thread, then resumes the awaiting task on its own executor. What `work`
  // throws is rethrown there. Not cancellable: the work is expected to be short.
  Task<> run(std::function<void()> work);

 private:
  struct Threads;
  unsigned threads_;
  std::unique_ptr<Threads> impl_;
};

template <class F, class R = std::invoke_result_t<F&>>
Task<R> offload(Pool& pool, F fn) {
  if constexpr (std::is_void_v<R>) {
    co_await pool.run(std::ref(fn));
  } else {
    std::optional<R> out;
    auto work = [&] { out.emplace(fn()); };
    co_await pool.run(std::ref(work));
    co_return std::move(*out);
  }
}

}  // namespace lafs
