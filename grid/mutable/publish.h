// SPDX-License-Identifier: Apache-2.0
#pragma once

// Writes an encoded version to the servers, test-and-set on every share (spec/mutable 7.1).

#include "grid/mutable/encoding.h"
#include "grid/mutable/publish_plan.h"
#include "grid/mutable/slot.h"

namespace lafs::grid {

struct PublishSecrets {
  Key16 write_key;
  Secret32 lease_secret;
};

struct Published {
  Result<> outcome;
  bool doubtful = false;  // PublishPlan::doubtful()
};

// One attempt. `map` is of WRITE or CHECK mode; for a new file an empty one, and then every server
// counts as one that answered. After an error other than no_servers some shares may be written.
Task<Published> publish(const Slot& slot, const ServerMap& map, PublishSecrets secrets,
                        EncodedVersion version);

}  // namespace lafs::grid
