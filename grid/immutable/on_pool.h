// SPDX-License-Identifier: Apache-2.0
#pragma once

// Work goes to the pool only when it is long enough to pay for the way there and back.

#include "grid/base/offload.h"

namespace lafs::grid {

// `cost`: about how many bytes `fn` hashes (1 to 2 per nanosecond).
template <class F>
Task<> on_pool(Pool& pool, std::uint64_t cost, F fn) {
  constexpr std::uint64_t worth_it = 48 << 10;
  if (cost < worth_it) {
    fn();
    co_return;
  }
  co_await pool.run(std::ref(fn));
}

}  // namespace lafs::grid
