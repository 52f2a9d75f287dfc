// SPDX-License-Identifier: Apache-2.0
#pragma once

// The garbage collector's work on one storage index, and the tally of what it saw. Blocking: runs
// on a pool thread or in a command, while nothing else touches this storage index.

#include <array>
#include <map>

#include "grid/server/expiry.h"
#include "grid/server/share_facts.h"
#include "grid/server/share_tree.h"

namespace lafs::grid::storage {

class Disk;

struct Amount {
  std::uint64_t shares = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t disk_bytes = 0;

  void add(const ShareFacts& facts) {
    shares += 1;
    data_bytes += facts.data_bytes;
    disk_bytes += facts.disk_bytes;
  }
  bool operator==(const Amount&) const = default;
};

struct ByKind {
  Amount immutable;
  Amount mutable_;

  void add(const ShareFacts& facts) {
    (facts.kind == ShareKind::immutable ? immutable : mutable_).add(facts);
  }
  Amount total() const;
  bool operator==(const ByKind&) const = default;
};

// How many leases were granted or renewed how long ago.
struct LeaseAges {
  static constexpr std::array<unsigned, 6> days{1, 7, 14, 31, 62, 365};  // upper bounds
  std::array<std::uint64_t, days.size() + 1> leases{};                   // the last: older

  void add(std::uint32_t expiration, std::int64_t now);
  bool operator==(const LeaseAges&) const = default;
};

// What was met on a walk.
struct CollectionTally {
  std::uint64_t buckets = 0;
  ByKind examined;
  ByKind expired;  // every lease has run out; they went, if the policy was enabled
  ByKind removed;
  std::uint64_t leases = 0;
  std::uint64_t leases_expired = 0;
  std::uint64_t leases_removed = 0;
  std::uint64_t without_leases = 0;  // shares; they stay
  LeaseAges ages;
  std::uint64_t unreadable = 0;                // share files
  std::vector<std::string> unreadable_shares;  // the first of them, "<storage index>/<number>"
  std::uint64_t failed = 0;                    // changes that the disk did not take

  void add(const CollectionTally& more);
  bool operator==(const CollectionTally&) const = default;
};

struct BucketReport {
  CollectionTally tally;
  std::map<ShareNo, ShareFacts> left;  // readable shares that are there afterwards
};

// Looks at every share of `si` and, if the policy is enabled, cancels the leases that have run out
// and removes the shares that have none left. A share without any lease stays, as in Tahoe.
// `remove`: off for a walk that only reports, whatever the policy.
Result<BucketReport> collect_bucket(Disk& disk, const ShareTree& tree, const StorageIndex& si,
                                    const ExpiryPolicy& policy, bool remove, std::int64_t now);

// The readable shares of `si`.
std::map<ShareNo, ShareFacts> facts_of_bucket(const ShareTree& tree, const StorageIndex& si);

// The storage indexes that have a directory, of the `prefix`th of 1024, in their binary order.
Result<std::vector<StorageIndex>> buckets_of(const ShareTree& tree, unsigned prefix);
inline constexpr unsigned bucket_prefixes = 1024;
unsigned prefix_of(const StorageIndex& si);

}  // namespace lafs::grid::storage
