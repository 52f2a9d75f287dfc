// SPDX-License-Identifier: Apache-2.0
#pragma once

// What was read from the grid, kept on the local disk across restarts and shared by all processes
// of one node directory (docs/CACHE.md):
//
//   segments.mdb   verified ciphertext of immutable files, least recently used out first, and the
//                  segment sizes of files; not readable without their caps. Not synced: thrown away
//                  after a loss of power.
//   listings.mdb   the newest snapshot of each directory, sealed with a key from the node's secret
//
// All of it can be had again: what is damaged is thrown away. Look-ups are for the I/O thread and
// inline; what is kept is written by a thread of its own, and left out when that cannot follow.

#include <functional>
#include <memory>
#include <string>

#include "cache/segment_store.h"
#include "grid/base/result.h"
#include "grid/crypto/hash.h"
#include "grid/crypto/secret.h"

namespace lafs::cache {

class ReadCache {
 public:
  struct Options {
    std::string directory;  // made when it is not there, 0700
    grid::Secret32 node_secret;
    std::uint64_t segment_bytes = 4ull << 30;
    std::uint64_t listing_bytes = 1ull << 30;
    std::uint64_t min_free = 1ull << 30;    // of the disk: below that nothing more is added
    std::uint64_t queue_bytes = 64u << 20;  // waiting to be written
  };
  static Result<std::unique_ptr<ReadCache>> open(Options options);
  ~ReadCache();  // writes what waits

  // Shows the segment to `look` when it is here, and true. The bytes are void afterwards.
  bool segment(const Segments::Key& key, const std::function<void(ByteView)>& look);
  bool has_segment(const Segments::Key& key);
  void keep_segment(const Segments::Key& key, Segments::Data data);
  // By a name that belongs to the file's very bytes.
  std::optional<CachedFile> file(const grid::StorageIndex& name);
  void keep_file(const grid::StorageIndex& name, const CachedFile& file);

  struct Snapshot {
    std::uint64_t seqnum = 0;  // of the version
    grid::Hash32 root_hash{};
    Bytes table;  // as the directory's file holds it
  };
  // `cap`: the directory's, which is not stored. From any thread: a large one takes a while.
  std::optional<Snapshot> listing(std::string_view cap);
  struct NewSnapshot {
    std::uint64_t seqnum = 0;
    grid::Hash32 root_hash{};
    std::shared_ptr<const Bytes> table;
  };
  void keep_listing(std::string_view cap, NewSnapshot snapshot);

  struct Use {
    std::uint64_t segment_bytes = 0;  // kept
    std::uint64_t segment_limit = 0;
    std::uint64_t segments = 0, listings = 0;
    std::uint64_t on_disk = 0;
    std::uint64_t hits = 0, misses = 0;  // of segments, in this process
    std::uint64_t damaged = 0;           // entries thrown away
    std::uint64_t left_out = 0;          // not kept: the queue or the disk was full
  };
  Use use();
  // Until all that was given so far is written. Blocking; for tests and benchmarks.
  void settle();

 private:
  struct State;
  explicit ReadCache(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lafs::cache
