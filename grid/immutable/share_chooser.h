// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which share of which server to ask next (spec/immutable 9.4, with the deviations of 15). Plain:
// told what was found and how requests went, with the time passed in.
//
// Healthy shares are used first: those of servers with the fewest requests for this segment, then
// of the quickest servers, those we have begun with before others that are hardly quicker. Servers
// that were slow come after all others. As soon as a request takes long, all servers that could
// step in are asked for a few bytes, so that a hedge goes to one that is known to be there. A
// server that fails is put behind a circuit breaker: none of its shares is asked for until a while
// has passed, which doubles with every failure, unless the file cannot be read without them. A
// share that lied has lost our trust: it is used only when the file cannot be read without it (each
// block is proven all the same), and never for a segment it has failed at.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "grid/base/task.h"
#include "grid/immutable/placement.h"

namespace lafs::grid {

struct ShareId {
  ServerNo server = 0;
  ShareNo number;
  auto operator<=>(const ShareId&) const = default;
};

// The state of fetching one segment: k blocks of distinct numbers are wanted.
class SegmentFetch {
 public:
  explicit SegmentFetch(std::uint64_t k) : k_(k) {}

  void started(ShareId id, TimePoint now) { active_[id] = now; }
  void succeeded(ShareId id);
  void failed(ShareId id);
  // Requests that have waited longer than `patience` stop counting, so that others are started in
  // their place; their answers are still welcome. Returns those that became overdue by this call.
  std::vector<ShareId> check_overdue(TimePoint now, Duration patience);
  // Once, when a request has waited for half of that: time to see who else is there.
  bool check_suspicious(TimePoint now, Duration patience);
  // When one of the two has something to do next.
  TimePoint next_check(Duration patience) const;

  bool enough() const { return have_.size() >= k_; }
  // Nothing more is to be asked for now.
  bool covered() const { return promised().size() >= k_; }
  bool idle() const { return active_.empty(); }
  std::size_t active_on(ServerNo server) const;
  // Numbers that are here or on their way in good time.
  std::set<ShareNo> promised() const;
  // Not asked for this segment yet.
  bool untried(ShareId id) const { return !active_.contains(id) && !failed_.contains(id); }

 private:
  std::uint64_t k_;
  std::set<ShareNo> have_;
  std::map<ShareId, TimePoint> active_;  // overdue ones included
  std::set<ShareId> overdue_;            // a subset of active_
  std::set<ShareId> failed_;
  bool suspicious_ = false;
};

struct ChooserLimits {
  // For an answer, before another server is asked as well: until the first answers are in, and the
  // bounds of what is learnt from them (twice what 95 of 100 answers take).
  Duration patience = std::chrono::seconds(1);
  Duration least_patience = std::chrono::milliseconds(300);
  Duration most_patience = std::chrono::seconds(5);
  Duration retry_after = std::chrono::seconds(5);  // after the first error of the network
  Duration most_retry_after = std::chrono::minutes(5);
};

class ShareChooser {
 public:
  // Numbers from n on are no shares of this file and ignored.
  explicit ShareChooser(std::uint64_t n, ChooserLimits limits = {}) : n_(n), limits_(limits) {}

  // --- learns
  void found(ShareId id, Duration round_trip);
  // A request for it is on its way: what it brings will be of use to later segments too.
  void begun(ShareId id) { shares_[id].begun = true; }
  void answered(ShareId id, Duration took);
  void overdue(ServerNo server);
  // Asked whether it is there, and was.
  void roused(ServerNo server) { servers_[server].silent = true; }
  void awake(ServerNo server) { servers_[server].silent = false; }
  void failed(ShareId id, const Error& error, TimePoint now);

  // --- decides
  // Nothing when the segment is covered, or no share is left that may be asked. `last_resort`:
  // nothing more will be found, so those that failed may try again.
  std::optional<ShareId> next(const SegmentFetch& fetch, TimePoint now, bool last_resort) const;
  Duration patience() const;
  // One share of each server that could take over from those that `fetch` has asked.
  std::vector<ShareId> standby(const SegmentFetch& fetch, TimePoint now) const;

  std::size_t distinct_numbers() const;
  // For messages: every share found, and what was wrong with it (empty: nothing).
  std::vector<std::pair<ShareId, std::string>> shares() const;

 private:
  enum class Health : std::uint8_t { good, failed, lied };
  struct Share {
    Health health = Health::good;
    bool begun = false;
    TimePoint retry_at;
    std::string complaint;
  };
  struct Speed {
    Duration average{};
    bool slow = false;
    bool silent = false;    // has not answered since it was roused
    unsigned failures = 0;  // since the last answer
    TimePoint retry_at{};   // the breaker is open until then
  };

  std::uint64_t n_;
  ChooserLimits limits_;
  std::map<ShareId, Share> shares_;
  std::map<ServerNo, Speed> servers_;
  std::vector<Duration> recent_;  // the last answers' times, a ring
  std::size_t recent_at_ = 0;
  unsigned late_ = 0;  // answers in a row that took longer than our patience
};

}  // namespace lafs::grid
