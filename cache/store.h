// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the cache remembers across restarts, in LMDB, below one directory (0700):
//
//   model.mdb     the checkpoint of the model, with the journal position it covers; commits last.
//                 Directory snapshots beside it. One process: whoever holds the journal.
//
// Values are sealed with keys from the node's secret, keys are not (hash what should stay hidden).
// Calls block (a commit syncs the disk): from a pool thread, except the reads.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/disk.h"
#include "cache/journal.h"
#include "grid/base/bytes.h"
#include "grid/base/result.h"
#include "grid/crypto/secret.h"

namespace lafs::cache {

class Store {
 public:
  struct Options {
    std::string directory;  // made when it is not there, 0700
    grid::Secret32 node_secret;
    std::uint64_t map_bytes = 16ull << 30;  // address space, not disk
  };
  static Result<std::unique_ptr<Store>> open(Disk& disk, Options options);
  ~Store();

  // One change of the model's table: a value, or nothing to remove the key. Keys of 1..500 bytes.
  struct Change {
    Bytes key;
    std::optional<Bytes> value;
  };
  // All of it and the position in one transaction that lasts when this returns. Thread-safe, one
  // at a time; any thread. What it speaks of has to last before: Journal::synced(covered).
  Result<> checkpoint(const std::vector<Change>& changes, Sequence covered);
  // The position of the last checkpoint; 0 when there was none.
  Sequence covered() const;
  // Every key and value, by key. An error of `visit` ends it. Values that do not open are counted
  // in damaged(), not visited.
  Result<> each(const std::function<Result<>(ByteView key, ByteView value)>& visit) const;
  std::uint64_t damaged() const;
  // The database could not be used and was put aside under this name; empty when all was well.
  // What it held is lost, what the journal and the staging files hold is not.
  const std::string& put_aside() const;

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);  // defined where State is
  std::unique_ptr<State> state_;
};

}  // namespace lafs::cache
