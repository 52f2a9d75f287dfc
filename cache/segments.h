// SPDX-License-Identifier: Apache-2.0
#pragma once

// Verified ciphertext segments kept in memory, least recently used out first, bounded in bytes. The
// key is in the cap, so nothing here is readable without one. I/O thread only.

#include <list>
#include <map>
#include <memory>

#include "grid/base/bytes.h"
#include "grid/caps/storage_index.h"

namespace lafs::cache {

class Segments {
 public:
  struct Key {
    // Which file: a part of its UEB's hash, which proves all of its bytes; or a number by chance
    // that ReadCache::file() gives for it.
    grid::StorageIndex file;
    grid::SegmentNo segment;
    auto operator<=>(const Key&) const = default;
  };
  using Data = std::shared_ptr<const Bytes>;

  explicit Segments(std::uint64_t capacity) : capacity_(capacity) {}

  Data find(const Key& key);             // null when absent; counts as a use
  void keep(const Key& key, Data data);  // one larger than the capacity is not kept
  std::uint64_t bytes() const { return bytes_; }
  std::size_t count() const { return entries_.size(); }

 private:
  struct Entry {
    Data data;
    std::list<Key>::iterator use;
  };

  std::uint64_t capacity_;
  std::uint64_t bytes_ = 0;
  std::list<Key> uses_;  // most recent first
  std::map<Key, Entry> entries_;
};

}  // namespace lafs::cache
