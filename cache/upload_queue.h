// SPDX-License-Identifier: Apache-2.0
#pragma once

// Decides what goes to the grid when: what may run now, in which order, and when a failure is tried
// again. Plain: the time is given, nothing is done here.
//
// Urgent before others (somebody waits), then new directories, small contents, names, large
// contents; among equals who waited longest. When nothing succeeds any more, the grid is taken to
// be away: one job at a time is tried then, more and more seldom, and what somebody waits for. A
// job is known by kind and inode, so that what is queued again is one job.

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/inode.h"
#include "grid/base/task.h"

namespace lafs::cache {

class UploadQueue {
 public:
  enum class Kind : std::uint8_t { directory, content, names };
  struct Job {
    Kind kind = Kind::content;
    InodeNo inode = 0;
    auto operator<=>(const Job&) const = default;
  };
  struct Limits {
    std::size_t contents = 24, directories = 8, names = 8;  // at once
    std::uint64_t bytes = 64u << 20;                        // of content on its way
    std::uint64_t small = 1u << 20;                         // content up to this goes first
    Duration quiet = std::chrono::milliseconds(200);        // without further changes
    Duration latest = std::chrono::seconds(2);
    Duration first_retry = std::chrono::seconds(1), last_retry = std::chrono::seconds(60);
    unsigned away_after = 8;  // failures in a row
  };
  struct State {
    TimePoint since{};  // queued
    TimePoint due{};
    std::uint64_t bytes = 0;
    std::uint64_t order = 0;
    bool urgent = false;
    bool running = false;
    bool again = false;  // changed while it ran
    unsigned attempts = 0;
    std::optional<Error> error;
  };

  explicit UploadQueue(Limits limits) : limits_(limits), random_(std::random_device{}()) {}

  // There is work, or more of it; `quiet`: wait a moment for further changes.
  void add(Job job, std::uint64_t bytes, TimePoint now, bool quiet);
  void remove(Job job);  // no work any more; one that runs ends first
  // Somebody waits for it.
  void urge(Job job, TimePoint now);
  void urge_all(TimePoint now);

  // What may start now; it is running then.
  std::optional<Job> start(TimePoint now);
  // When start() should be asked again, if nothing else happens.
  std::optional<TimePoint> next_due() const;
  void succeeded(Job job, TimePoint now);
  void failed(Job job, Error error, TimePoint now);

  const State* find(Job job) const;
  std::size_t size() const { return jobs_.size(); }
  std::size_t running() const { return running_; }
  bool away() const { return failures_in_a_row_ >= limits_.away_after; }
  const std::optional<Error>& last_error() const { return last_error_; }
  const std::map<Job, State>& jobs() const { return jobs_; }

 private:
  // By urgency, class, and order of coming.
  using Rank = std::tuple<bool, int, std::uint64_t>;
  Rank rank(const Job& job, const State& state) const;
  bool fits(const Job& job, const State& state) const;
  void wait(const Job& job, State& state, TimePoint due);
  void unlist(const Job& job, State& state);
  void end(const Job& job, State& state);
  Duration backoff(unsigned failures);

  Limits limits_;
  std::mt19937_64 random_;
  std::map<Job, State> jobs_;
  std::set<std::pair<TimePoint, Job>> waiting_;
  std::map<Rank, Job> ready_;
  bool any_failed_ = false;
  unsigned failures_in_a_row_ = 0;  // of any jobs
  std::optional<Error> last_error_;
  TimePoint next_probe_{};  // while away
  std::size_t running_ = 0;
  std::size_t running_of_[3] = {};
  std::uint64_t bytes_ = 0;  // of running contents
  std::uint64_t next_order_ = 0;
};

}  // namespace lafs::cache
