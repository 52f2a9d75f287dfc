// SPDX-License-Identifier: Apache-2.0
#include "grid/server/turns.h"

namespace lafs::grid::storage {

Task<Turns::Turn> Turns::take(StorageIndex si, std::uint64_t amount) {
  auto limiter = turns_[si].lock();
  if (!limiter) {
    // The last user's end forgets the entry.
    limiter = std::shared_ptr<Limiter>(new Limiter(executor_, readers), [this, si](Limiter* gone) {
      delete gone;
      turns_.erase(si);
    });
    turns_[si] = limiter;
  }
  auto permit = co_await limiter->acquire(amount);
  co_return Turn(std::move(limiter), std::move(permit));
}

}  // namespace lafs::grid::storage
