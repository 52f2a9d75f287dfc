// SPDX-License-Identifier: Apache-2.0
#pragma once

// THE DOOR of cache: the grid client's words, with what was read kept near. Segments of immutable
// files and snapshots of directories are shared by everything in this process. I/O thread only;
// the client outlives it; close() it first.

#include <list>
#include <map>
#include <memory>

#include "cache/cached_directory.h"
#include "cache/read_cache.h"
#include "cache/segments.h"
#include "grid/client.h"

namespace lafs::cache {

using grid::Cap;

class CachedClient {
 public:
  struct Options {
    // Of ciphertext kept in memory, beside what is on the local disk.
    std::uint64_t segment_bytes = 128u << 20;
    std::optional<ReadCache::Options> disk = {};  // what lasts; opened when it is first needed
    Duration directory_ttl = std::chrono::seconds(3);
    Duration mutable_ttl = std::chrono::seconds(3);
    unsigned read_ahead = 3;  // segments kept on their way for a sequential reader
  };

  CachedClient(asio::any_io_executor executor, grid::Client& client, Options options);
  ~CachedClient();

  grid::Client& client() { return client_; }
  // Before anything was read.
  void keep_on_disk(std::optional<ReadCache::Options> options) {
    options_.disk = std::move(options);
  }
  const std::optional<ReadCache::Options>& disk_options() const { return options_.disk; }
  // Null when nothing is kept on the disk, or it cannot be used (which is logged).
  ReadCache* disk();

  // The directory behind a cap; the same object for everybody. Errc::not_directory, bad_cap.
  Task<Result<std::shared_ptr<CachedDirectory>>> directory(Cap cap);
  Task<Result<Cap>> create_directory() { return client_.create_directory(); }

  // Plaintext of any file, short only at its end. A sequential reader finds the next segments
  // already on their way.
  Task<Result<Bytes>> read(Cap cap, std::uint64_t offset, std::uint64_t size);
  Task<Result<std::uint64_t>> size(Cap cap);

  Task<Result<Cap>> put(grid::Source& source, grid::Progress progress = {});
  // Likewise, but under a key of the caller's instead of the one that the content makes.
  Task<Result<Cap>> put_under(grid::Key16 key, grid::Source& source);
  // Replaces the contents of a mutable file.
  Task<Result<>> overwrite(Cap cap, Bytes contents);

  Task<Result<grid::GridSpace>> space() { return client_.space(); }

  Task<> close();

 private:
  struct MutableSnapshot {
    std::shared_ptr<const Bytes> contents;
    TimePoint until;
  };
  struct Reader {
    CachedFile file;  // segment size 0: not known yet
    // Where a sequential reader will go on.
    std::uint64_t next_offset = 0;
    std::uint64_t ahead_to = 0;  // segments before this one were asked for
  };

  Task<Result<Cap>> put(grid::Source& source, grid::Progress progress,
                        std::optional<grid::Key16> key);
  bool has(const Segments::Key& key);
  Task<Result<Segments::Data>> fetch(grid::ChkVerifyCap verify, Segments::Key key);
  Task<> fetch_ahead(grid::ChkVerifyCap verify, Segments::Key key);
  // From the cache, or from the grid, which then reads near `offset`.
  Task<Result<CachedFile>> facts(grid::ChkVerifyCap verify, std::uint64_t offset);
  CachedDirectory::Memory memory_of(const Cap& cap);
  Task<std::optional<grid::Listing>> remembered(Cap cap);
  Task<Result<const Bytes*>> mutable_contents(const Cap& cap);
  Task<Result<Bytes>> read_chk(grid::ChkCap chk, std::uint64_t offset, std::uint64_t size);

  asio::any_io_executor executor_;
  grid::Client& client_;
  Options options_;
  std::unique_ptr<ReadCache> disk_;
  Segments segments_;
  std::map<std::string, std::shared_ptr<CachedDirectory>> directories_;  // by cap text
  std::map<grid::StorageIndex, MutableSnapshot> mutable_;
  std::map<grid::StorageIndex, Reader> readers_;  // by name_of()
  TaskGroup ahead_;
};

}  // namespace lafs::cache
