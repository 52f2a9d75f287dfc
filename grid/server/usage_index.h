// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every share takes and which leases it has, in one LMDB file beside the shares, so that
// totals are known at once and a report needs no walk over the disk. Format:
// docs/formats/usage-index.md.
//
// The shares are the truth; the index may be thrown away at any time and is built again by the
// collector's next walk. Changes are committed without waiting for the disk. That is safe against
// a kill; after a power cut the file may be damaged, so the index notes in a small file beside it
// who has it open since which start of the machine, and one that was open when the machine went
// down is not trusted but made anew.
//
// I/O thread only, one writer at a time (the server's lock sees to that); `lafs storage usage`
// reads beside it in another process. Errors of LMDB are logged once and switch the index off: a
// server without an index still serves.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>

#include "grid/server/collection.h"

namespace lafs::grid::storage {

class UsageIndex {
 public:
  // For writing; made when missing.
  static std::unique_ptr<UsageIndex> open(const std::filesystem::path& storage_directory);
  // For reading. Errc::not_found: there is none.
  static Result<std::unique_ptr<UsageIndex>> open_to_read(
      const std::filesystem::path& storage_directory);
  // Empty, whatever was there. Nobody has it open to write.
  static std::unique_ptr<UsageIndex> make_anew(const std::filesystem::path& storage_directory);
  ~UsageIndex();

  // Whether a walk has seen every share since the index was made: before that it tells too little.
  bool complete() const;
  void set_complete(bool complete);
  // Not complete, or a killed server may not have noted its last second.
  bool wants_walk() const;
  const ByKind& totals() const;

  std::map<ShareNo, ShareFacts> of(const StorageIndex& si) const;
  // The shares of `si` are these, and no others.
  void set(const StorageIndex& si, const std::map<ShareNo, ShareFacts>& shares);
  // Storage indexes of one prefix (see prefix_of()).
  std::vector<StorageIndex> buckets_of(unsigned prefix) const;
  // Every share, in order, until `visit` returns false.
  void each(
      const std::function<bool(const StorageIndex&, ShareNo, const ShareFacts&)>& visit) const;

  // What was set since the last commit() is dropped, and what is set from now on.
  void abandon();
  // Makes what was set visible to others and lasting. Costs a write to the page cache.
  void commit();

 private:
  struct State;
  explicit UsageIndex(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lafs::grid::storage
