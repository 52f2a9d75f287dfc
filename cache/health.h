// SPDX-License-Identifier: Apache-2.0
#pragma once

// Is what a cap names still there? Asks every server.

#include "grid/client.h"

namespace lafs::cache {

// After reading has failed with `why`: every server answers, and nobody can read it any more.
Task<bool> lost(grid::Client& client, grid::Cap cap, Errc why);
// For people: "healthy: 10 of 10 shares (3 needed) on 10 servers".
Task<Result<std::string>> health(grid::Client& client, grid::Cap cap);

}  // namespace lafs::cache
