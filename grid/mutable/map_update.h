// SPDX-License-Identifier: Apache-2.0
#pragma once

// Asks servers what they hold of a file until MapSearch is content (spec/mutable 5).

#include "grid/mutable/map_search.h"
#include "grid/mutable/slot.h"

namespace lafs::grid {

// A server that is silent costs at most slot.deadline, and nothing where the search is content
// without it. `options.servers` and `patience` are filled in from the slot.
Task<ServerMap> update_map(const Slot& slot, MapSearch::Options options);

}  // namespace lafs::grid
