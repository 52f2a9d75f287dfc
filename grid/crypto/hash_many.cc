// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/hash_many.h"

#include <algorithm>

#include "grid/base/netstring.h"
#include "grid/crypto/sha256_lanes.h"

namespace lafs::grid {

namespace {

// With fewer messages the lanes are slower than the CPU's SHA instructions.
constexpr std::size_t enough_for_lanes = 9;

}  // namespace

unsigned hash_lanes() { return sha256_lanes_available() ? sha256_lanes : 1; }

void hash_many_plainly(std::span<HashJob> jobs) {
  // One hasher for each stretch of one tag: callers have a few tags and sort by them.
  std::optional<TaggedHasher> hasher;
  std::string_view tag;
  for (auto& job : jobs) {
    if (!hasher || job.tag != tag) {
      tag = job.tag;
      hasher.emplace(tag);
    }
    *job.out = hasher->hash(job.data);
  }
}

void hash_many(std::span<HashJob> jobs) {
  if (jobs.size() < enough_for_lanes || hash_lanes() == 1) return hash_many_plainly(jobs);
  // Longest first: the lanes then end at about the same time.
  std::ranges::stable_sort(
      jobs, [](const HashJob& a, const HashJob& b) { return a.data.size() > b.data.size(); });
  std::vector<LaneJob> lanes;
  lanes.reserve(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    LaneJob lane{.data = jobs[i].data, .out = jobs[i].out->data()};
    const auto prefix = netstring(as_bytes(jobs[i].tag));
    // The first block of a lane holds the tag and the beginning of the message.
    if (prefix.size() >= 64 || prefix.size() + jobs[i].data.size() < 64) {
      hash_many_plainly(jobs.subspan(i, 1));
      continue;
    }
    std::ranges::copy(prefix, lane.prefix.begin());
    lane.prefix_length = static_cast<unsigned>(prefix.size());
    lanes.push_back(lane);
  }
  sha256d_in_lanes(lanes);
}

}  // namespace lafs::grid
