// SPDX-License-Identifier: Apache-2.0
#pragma once

// The background walk over all shares: counts what has run out, removes it if the policy says so,
// and makes the usage index true. It works a moment and then sleeps, so that clients do not notice
// it; after a restart it goes on behind the storage index it was at. I/O thread; close() before
// destruction, and before the disk server's.

#include "grid/server/collector_state.h"
#include "grid/server/disk_server.h"

namespace lafs::grid::storage {

class Collector {
 public:
  struct Options {
    std::filesystem::path directory;  // the storage directory
    ExpiryPolicy policy;
    Duration first_delay = std::chrono::minutes(6);  // after the start, as Tahoe's
    Duration interval = std::chrono::hours(12);      // from the start of a walk to the next one's
    // The part of the time that it works; 1: all of it.
    double share_of_time = 0.1;
    // A walk that makes a missing usage index goes faster, and begins at once.
    double share_of_time_to_index = 0.5;
    // And one that somebody waits for.
    double share_of_time_when_asked = 0.7;
    // Seconds since 1970; the system's clock when this is empty.
    std::function<std::int64_t()> unix_time;
  };

  Collector(asio::any_io_executor executor, Pool& pool, DiskServer& disk, Options options);
  ~Collector();

  void start();
  // For what has not been examined yet.
  void set_policy(const ExpiryPolicy& policy);
  Task<> close();

  // One walk from where the state says to the end. Errc::cancelled: it was stopped on the way.
  Task<Result<>> walk();
  // One over everything, by another policy, beside the background's. `seen` hears of it now and
  // then. It gets a place in the history.
  using Seen = std::function<Task<>(const CollectionTally&)>;
  Task<Result<CollectionCycle>> walk_now(ExpiryPolicy policy, Seen seen);
  // The usage index is thrown away and made anew from the shares. Errc::cancelled: the background
  // goes on with that.
  Task<Result<>> rebuild_usage(Seen seen);
  const CollectorState& state() const { return state_; }

 private:
  struct Walk {
    const ExpiryPolicy& policy;
    double share_of_time;
    CollectionTally& tally;
    std::optional<StorageIndex>& behind;
    TimePoint working_since = Clock::now();
  };

  Task<> run();
  Task<Result<>> walk_prefix(unsigned prefix, Walk& walk);
  Task<> rest(Walk& walk);
  Task<> save();
  std::int64_t now() const;

  asio::any_io_executor executor_;
  Pool& pool_;
  DiskServer& disk_;
  Options options_;
  ShareTree tree_;
  CollectorState state_;
  TimePoint saved_;
  Limiter saving_;
  Signal due_;  // the background's next walk does not wait for its time
  TaskGroup task_;
};

}  // namespace lafs::grid::storage
