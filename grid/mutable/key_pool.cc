// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/key_pool.h"

namespace lafs::grid {

KeyPool::KeyPool(asio::any_io_executor executor, Pool& pool, std::size_t target)
    : pool_(pool), target_(target), group_(std::move(executor)) {}

Task<RsaPrivateKey> KeyPool::take() {
  if (keys_.empty()) {
    auto key = co_await offload(pool_, &RsaPrivateKey::generate);
    fill();
    co_return key;
  }
  auto key = std::move(keys_.front());
  keys_.pop_front();
  fill();
  co_return key;
}

void KeyPool::fill() {
  if (making_ || closed_ || keys_.size() >= target_) return;
  making_ = true;
  group_.spawn(make_keys());
}

Task<> KeyPool::make_keys() {
  while (!closed_ && keys_.size() < target_) {
    keys_.push_back(co_await offload(pool_, &RsaPrivateKey::generate));
  }
  making_ = false;
}

Task<> KeyPool::close() {
  closed_ = true;
  co_await group_.join();
}

}  // namespace lafs::grid
