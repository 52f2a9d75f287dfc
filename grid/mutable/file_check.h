// SPDX-License-Identifier: Apache-2.0
#pragma once

// Is a mutable file whole? (spec/mutable 7.5)

#include "grid/mutable/mutable_file.h"
#include "grid/storage/check_report.h"

namespace lafs::grid {

// With any cap of it. Asks every server; with `verify` every share of the best version is read and
// every hash in it proved, and through a write cap its private key too.
Task<Result<CheckReport>> check_mutable(asio::any_io_executor executor, MutableContext context,
                                        Cap cap, CheckOptions options);

}  // namespace lafs::grid
