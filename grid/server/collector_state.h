// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the collector is and what its walks found, as JSON in lafs-collector.json beside the
// shares: for people, and so that a restart goes on where it was. Advisory: without it the next
// walk begins at the start. Tahoe's own files about its crawlers are left alone.

#include <optional>

#include "grid/server/collection.h"

namespace lafs::grid::storage {

// One walk over all shares.
struct CollectionCycle {
  std::uint64_t number = 0;   // from 1
  std::int64_t started = 0;   // unix seconds
  std::int64_t finished = 0;  // 0: under way
  bool enabled = false;       // whether it removed what had run out, or only counted it
  std::string policy;
  CollectionTally tally;
};

struct CollectorState {
  static constexpr std::size_t most_history = 10;

  std::optional<CollectionCycle> current;
  std::optional<StorageIndex> behind;    // the last one that `current` has seen
  std::vector<CollectionCycle> history;  // oldest first

  std::uint64_t next_number() const;
  // `current` is done.
  void finish(std::int64_t now);
  // One that ended beside `current`.
  void add(CollectionCycle cycle);

  std::string text() const;
  // Errc::corrupt.
  static Result<CollectorState> parse(std::string_view text);
  // What the file of this storage directory says; a fresh state when there is none.
  static CollectorState load(const std::filesystem::path& storage_directory);
  Result<> save(const std::filesystem::path& storage_directory) const;
};

// One JSON object, and the one that is a member of another. Errc::corrupt.
std::string cycle_json(const CollectionCycle& cycle);
Result<CollectionCycle> parse_cycle(std::string_view object, std::string_view member);

}  // namespace lafs::grid::storage
