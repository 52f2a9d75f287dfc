// SPDX-License-Identifier: Apache-2.0
#pragma once

// RSA keys made ahead of time: generating one takes about 100 ms of CPU, so that a mkdir would be
// slow without a few in store. They are made on a thread of the lowest priority.
//
// With a directory, what is left in store at close() is kept there, each key in a file of its own,
// sealed with a key of the node (docs/formats/spare-key.md), and taken up again by the next
// process. A key is removed from the disk before it is used, and never used twice: two files with
// one key would be one file.

#include <deque>
#include <filesystem>

#include "grid/base/offload.h"
#include "grid/base/task.h"
#include "grid/crypto/rsa.h"
#include "grid/crypto/secret.h"

namespace lafs::grid {

class KeyPool {
 public:
  struct OnDisk {
    std::filesystem::path directory;
    Secret32 seal;
  };

  // Keeps up to `target` keys in store, made one at a time. Starts making them with the first
  // take(), or with fill(). `pool` makes the keys that somebody waits for.
  KeyPool(asio::any_io_executor executor, Pool& pool, std::size_t target = 8,
          std::optional<OnDisk> disk = {});

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
  // Waits for the key that is being made, and stores what is left; call before destruction.
  Task<> close();

 private:
  Task<> make_keys();

  Pool& pool_;
  std::size_t target_;
  std::optional<OnDisk> disk_;
  std::deque<RsaPrivateKey> keys_;
  std::unique_ptr<Pool> spare_;  // one thread that gets what CPU nobody else wants
  bool making_ = false;
  bool closed_ = false;
  TaskGroup group_;
};

// Takes one key off the disk; nothing when there is none. Files that cannot be unsealed are
// removed.
std::optional<RsaPrivateKey> take_stored_key(const KeyPool::OnDisk& disk);
// Keeps one, unless there are `most` already. False when the disk said no: the key is lost then.
bool store_key(const KeyPool::OnDisk& disk, const RsaPrivateKey& key, std::size_t most);

}  // namespace lafs::grid
