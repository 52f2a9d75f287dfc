// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an error means on a command line: the exit status (a documented contract, docs/CLI.md) and
// what a person can do about it.

#include <string>
#include <string_view>

#include "grid/base/result.h"

namespace lafs::cli {

enum class Exit : int {
  ok = 0,
  failed = 1,      // the operation failed for a reason that has no number of its own
  usage = 2,       // what was typed makes no sense; nothing was done
  not_found = 3,   // there is nothing of that name
  grid = 4,        // too few servers reachable, or too few good shares
  config = 5,      // the node directory or a file in it is wrong
  corrupt = 6,     // the data is damaged beyond what the shares can repair
  cancelled = 130  // ended by SIGINT or SIGTERM
};

Exit exit_of(Errc code);

// What to do now, as a clause; empty where the error says it all.
std::string_view advice(Errc code);

// "lafs: put: context: sentence; advice": one line, without capabilities and control characters.
std::string error_line(std::string_view command, const Error& error);

}  // namespace lafs::cli
