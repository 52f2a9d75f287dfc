// SPDX-License-Identifier: Apache-2.0
#pragma once

// Writes an encoded version to the servers, test-and-set on every share (spec/mutable 7.1).

#include "grid/mutable/encoding.h"
#include "grid/mutable/publish_plan.h"
#include "grid/mutable/slot.h"

namespace lafs::grid {

struct Published {
  Result<> outcome;
  bool doubtful = false;  // PublishPlan::doubtful()
  // Where the new version is now; nothing when some share of it may be elsewhere, or some server
  // may hold another version.
  std::optional<ServerMap> known{};
};

// One attempt. A version of patches goes where the map says the version before is, and nowhere
// else. `map` is of WRITE or CHECK mode; for a new file an empty one, and then every server
// counts as one that answered. After an error other than no_servers some shares may be written.
// The slot has `secrets`.
Task<Published> publish(const Slot& slot, const ServerMap& map, EncodedVersion version);

}  // namespace lafs::grid
