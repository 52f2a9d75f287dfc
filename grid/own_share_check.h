// SPDX-License-Identifier: Apache-2.0
#pragma once

// Is a share of our own sound? A server knows no caps, so it cannot say whether a share belongs to
// the file its client means; but a share is hashed and signed within itself, and every byte that a
// disk has turned contradicts that.

#include "grid/base/offload.h"
#include "grid/storage/server.h"

namespace lafs::grid {

// Errc::corrupt with what is wrong; Errc::too_large: a mutable share too long to be looked at.
Task<Result<>> check_own_share(storage::Server& server, storage::ShareKind kind, StorageIndex si,
                               ShareNo number, Pool& pool);

}  // namespace lafs::grid
