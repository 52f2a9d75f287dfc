// SPDX-License-Identifier: Apache-2.0
#pragma once

// RSA keys made ahead of time: generating one takes about 100 ms of CPU, so that a mkdir would be
// slow without a few in store. Keys live in memory only.

#include <deque>

#include "grid/base/offload.h"
#include "grid/base/task.h"
#include "grid/crypto/rsa.h"

namespace lafs::grid {

class KeyPool {
 public:
  // Keeps up to `target` keys in store, made one at a time on `pool`. Starts making them with the
  // first take(), or with fill().
  KeyPool(asio::any_io_executor executor, Pool& pool, std::size_t target = 8);

  // A key from the store, or a fresh one when it is empty. Still works after close(), without
  // store.
  Task<RsaPrivateKey> take();
  // Begins to fill the store in the background.
  void fill();
  // From now on the store holds up to `target` keys.
  void keep(std::size_t target) {
    target_ = target;
    fill();
  }
  std::size_t in_store() const { return keys_.size(); }
  // Waits for the key that is being made; call before destruction.
  Task<> close();

 private:
  Task<> make_keys();

  Pool& pool_;
  std::size_t target_;
  std::deque<RsaPrivateKey> keys_;
  bool making_ = false;
  bool closed_ = false;
  TaskGroup group_;
};

}  // namespace lafs::grid
