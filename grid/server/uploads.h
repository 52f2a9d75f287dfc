// SPDX-License-Identifier: Apache-2.0
#pragma once

// The immutable uploads in progress (spec/storage 4.5, 5.4, 5.5): who may write where, what is
// still missing, how much space is spoken for, and which have been idle too long. Plain state: time
// is passed in, files are touched by DiskServer.

#include <map>
#include <memory>

#include "grid/server/share_file.h"
#include "grid/storage/server.h"

namespace lafs::grid::storage {

struct Upload {
  Upload(asio::any_io_executor executor, ShareFile f, UploadSecret s, std::uint64_t n,
         TimePoint now)
      : file(std::move(f)), secret(s), size(n), last_used(now), turn(std::move(executor), 1) {}

  ShareFile file;
  UploadSecret secret;
  std::uint64_t size;  // of the share's data
  RangeSet written;
  TimePoint last_used;
  bool over = false;  // finished, aborted or expired while somebody waited for its turn
  Limiter turn;       // one write, abort or expiry at a time
};

class Uploads {
 public:
  using Key = std::pair<StorageIndex, ShareNo>;

  void add(const Key& key, std::shared_ptr<Upload> upload) { all_[key] = std::move(upload); }
  std::shared_ptr<Upload> find(const Key& key) const;
  // Errc::not_found: there is none; unauthorized: another secret.
  Result<std::shared_ptr<Upload>> find(const Key& key, const UploadSecret& secret) const;
  void remove(const Key& key);
  // How many of one storage index.
  std::size_t count(const StorageIndex& si) const;

  std::size_t size() const { return all_.size(); }
  // Sum of the sizes of all shares in progress, written or not.
  std::uint64_t reserved() const;
  // What of it has not been written yet: the disk's free space does not know of it.
  std::uint64_t promised() const;
  // Idle since before `limit`.
  std::vector<Key> idle_since(TimePoint limit) const;
  // The oldest last use; nothing when there are no uploads.
  std::optional<TimePoint> oldest_use() const;

 private:
  std::map<Key, std::shared_ptr<Upload>> all_;
};

// What a write may do. Errc::bad_argument: empty; bad_range: outside of the share.
Result<ByteRange> check_write(std::uint64_t share_size, std::uint64_t offset, std::size_t length);

}  // namespace lafs::grid::storage
