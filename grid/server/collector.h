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
  const CollectorState& state() const { return state_; }

 private:
  Task<> run();
  Task<Result<>> walk_prefix(unsigned prefix, double share_of_time);
  Task<> rest(double share_of_time);
  Task<> save();
  std::int64_t now() const;

  asio::any_io_executor executor_;
  Pool& pool_;
  DiskServer& disk_;
  Options options_;
  ShareTree tree_;
  CollectorState state_;
  TimePoint working_since_;
  TimePoint saved_;
  TaskGroup task_;
};

}  // namespace lafs::grid::storage
