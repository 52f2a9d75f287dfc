// SPDX-License-Identifier: Apache-2.0
#pragma once

// An upload that nobody waits for: hashed and encoded by threads of its own, and what it makes on
// the way is kept on the local disk, so that what was just written reads warm.

#include "cache/cached_client.h"

namespace lafs::cache {

// Needs client.disk(). `source` outlives the task.
Task<Result<Cap>> put_in_background(CachedClient& client, Pool& pool, const grid::Source& source,
                                    grid::Progress progress);

}  // namespace lafs::cache
