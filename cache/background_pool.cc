// SPDX-License-Identifier: Apache-2.0
#include "cache/background_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <thread>

namespace lafs::cache {

namespace {
// A tenth of an ordinary thread's share. Not SCHED_IDLE: a thread that gets nothing at all for a
// while could hold the lock of a queue that the I/O thread needs.
constexpr int nice_value = 10;
}  // namespace

std::unique_ptr<Pool> make_background_pool(unsigned threads) {
  std::unique_ptr<Pool> pool;
  // Priorities are per thread on Linux, and those that a thread starts have its own.
  std::thread starter([&] {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice_value);
    pool = std::make_unique<Pool>(threads);
  });
  starter.join();
  return pool;
}

}  // namespace lafs::cache
