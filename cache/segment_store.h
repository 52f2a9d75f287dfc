// SPDX-License-Identifier: Apache-2.0
#pragma once

// Segments on the local disk, in one LMDB file that several processes share:
//
//   data    file 16 || segment 8                 -> CRC-64 8 || ciphertext
//   uses    the same key                         -> when last used 8 (ms since 1970) || size 8
//   order   when last used 8 || key 24           -> size 8
//   files   name 16                              -> segment size 8 || file 16 || CRC-64 of all 8
//   about   "bytes"                              -> sum of sizes 8
//
// Not synced. A file that was open when the power went is thrown away, as LMDB cannot tell whether
// it is whole: `segments.state` says by which boot of the system it was opened, and whether it was
// closed since. Reads are for one thread; the writes (which may wait for another process) for
// another one.

#include <functional>
#include <memory>
#include <unordered_set>

#include "cache/database.h"
#include "cache/disk.h"
#include "cache/segments.h"

namespace lafs::cache {

// What is known of a file whose segments are kept.
struct CachedFile {
  std::uint64_t segment_size = 0;  // its cap tells the rest of its geometry
  grid::StorageIndex id;           // under which its segments are
};

class SegmentStore {
 public:
  struct Options {
    std::string directory;  // exists
    std::uint64_t most_bytes = 0;
    std::uint64_t min_free = 0;
  };
  static Result<std::unique_ptr<SegmentStore>> open(const Disk& disk, Options options);
  ~SegmentStore();
  SegmentStore(const SegmentStore&) = delete;
  SegmentStore& operator=(const SegmentStore&) = delete;

  using Key = Segments::Key;
  enum class Found : std::uint8_t { no, yes, damaged };

  // --- the reader's thread
  Found find(const Key& key, const std::function<void(ByteView)>& look);
  bool has(const Key& key);
  std::optional<CachedFile> file(const grid::StorageIndex& name);

  // --- the writer's thread
  struct Batch {
    std::vector<std::pair<Key, Segments::Data>> segments;
    std::vector<std::pair<grid::StorageIndex, CachedFile>> files;
    std::vector<Key> used;
    std::vector<Key> damaged;  // to be removed
  };
  // How many segments were left out, because the disk has no room for them.
  Result<std::size_t> write(const Batch& batch);

  struct Use {
    std::uint64_t bytes = 0, segments = 0, on_disk = 0;
  };
  Use use() const;  // any thread
  // Nobody else had it open when it was opened, and whoever had it last did not close it.
  bool after_a_crash() const { return after_a_crash_; }

 private:
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<grid::StorageIndex>()(key.file) ^ (key.segment.value * 0x9e3779b97f4a7c15u);
    }
  };

  SegmentStore(const Disk& disk, Options options);
  Result<> open_database(const std::string& path);
  Result<> evict(Database::Txn& txn, std::uint64_t& bytes, std::uint64_t limit);
  Result<> forget(Database::Txn& txn, const Key& key, std::uint64_t& bytes);
  Result<std::size_t> write_once(const Batch& batch, std::uint64_t limit);
  std::optional<ByteView> look_up(MDB_dbi dbi, ByteView key);  // until done_looking()
  void done_looking();

  const Disk& disk_;
  const Options options_;
  bool after_a_crash_ = false;
  int state_fd_ = -1;  // locked: shared by all who have the file open
  std::unique_ptr<Database> db_;
  MDB_dbi data_ = 0, uses_ = 0, order_ = 0, files_ = 0, about_ = 0;
  MDB_txn* reader_ = nullptr;                 // renewed for each look-up
  std::unordered_set<Key, KeyHash> checked_;  // their bytes were compared with the CRC
};

}  // namespace lafs::cache
