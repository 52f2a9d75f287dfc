// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads one whole share and proves every byte that a reader could ever rely on (spec/immutable
// 11.2). Roots come from the cap before the share's own hashes are looked at, so a forged block
// under a recomputed tree, and a share under another number, are found out (section 15).

#include "grid/base/offload.h"
#include "grid/caps/cap.h"
#include "grid/crypto/hash.h"
#include "grid/storage/check_report.h"
#include "grid/storage/server.h"

namespace lafs::grid {

// Errc::corrupt (the context says where and why), Errc::unsupported for a version that is not
// known, or what the network said. `server` and `pool` outlive the task.
Task<Result<>> verify_share(storage::Server& server, ChkVerifyCap cap, ShareNo number, Pool& pool,
                            CheckOptions options);

// A section that holds a full hash tree over `leaves` leaves: every node, the padding too, is what
// it must be under `root`. Gives the leaves.
Result<std::vector<Hash32>> check_tree(ByteView section, std::uint64_t leaves, const Hash32& root);

}  // namespace lafs::grid
