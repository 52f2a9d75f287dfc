// SPDX-License-Identifier: Apache-2.0
#pragma once

// Is this file safe? One question for every kind of cap.

#include "grid/client.h"
#include "grid/storage/check_report.h"

namespace lafs::grid {

// Of any file or directory; verify caps suffice. Errc::bad_cap for what cannot be checked. `client`
// outlives the task.
Task<Result<CheckReport>> check(Client& client, Cap cap, CheckOptions options);

// Servers of happiness of the good shares.
std::uint64_t happiness_of(const CheckReport& report);

}  // namespace lafs::grid
