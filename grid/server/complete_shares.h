// SPDX-License-Identifier: Apache-2.0
#pragma once

// Shares that were written to their end get their names, so that a share that can be found is whole
// whenever the power goes. Syncing is nearly all that a small share costs: those that are complete
// at one time are synced together.

#include <span>

#include "grid/server/disk.h"
#include "grid/server/share_tree.h"
#include "grid/server/uploads.h"

namespace lafs::grid::storage {

struct CompleteShare {
  Uploads::Key key;
  std::shared_ptr<Upload> upload;  // whose file has all of it
  bool alone = false;              // no other share of the storage index is on its way
};

// On the pool; the caller has the turns of all of them. What became of each, in their order: it has
// its name and both last, or it is still where uploads are.
std::vector<Result<>> place_shares(Disk& disk, const ShareTree& tree,
                                   std::span<const std::shared_ptr<CompleteShare>> shares);

}  // namespace lafs::grid::storage
