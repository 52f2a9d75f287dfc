// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the shares of an immutable file are, and whether they are good (spec/immutable 11.1, 11.2).

#include "grid/base/offload.h"
#include "grid/caps/cap.h"
#include "grid/caps/keys.h"
#include "grid/storage/check_report.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

// Asks every server, all at once. An error only for a cap that no file can have, or when cancelled;
// servers that fail are in the report. `roster` and `pool` outlive the task.
Task<Result<CheckReport>> check_immutable(const storage::Roster& roster, Pool& pool,
                                          Secret32 lease_secret, ChkVerifyCap cap,
                                          CheckOptions options);

}  // namespace lafs::grid
