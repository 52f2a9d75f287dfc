// SPDX-License-Identifier: Apache-2.0
#pragma once

// Makes a file safe again: missing shares are made anew and placed by servers of happiness.

#include "grid/checker.h"

namespace lafs::grid {

struct RepairReport {
  CheckReport before;
  bool attempted = false;            // it needed repair
  std::optional<Error> error;        // why the attempt failed
  std::optional<CheckReport> after;  // when the attempt did not fail

  const CheckReport& now() const { return after ? *after : before; }
};

// Checks, and repairs what needs it; whatever could be done has been done even when the file is not
// healthy afterwards. Errors as check(). A mutable file needs its write cap.
Task<Result<RepairReport>> check_and_repair(Client& client, Cap cap, CheckOptions options);

}  // namespace lafs::grid
