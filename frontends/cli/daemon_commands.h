// SPDX-License-Identifier: Apache-2.0
#pragma once

// What commands say about and to a running daemon.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "frontends/cli/convert.h"
#include "grid/base/task.h"

namespace lafs::cli {

class Commands;

void add_daemon_commands(Commands& commands);  // flush

// The daemon's own words, as JSON; nothing when none runs.
Task<Result<std::optional<std::string>>> daemon_status(std::filesystem::path node);

// The same for people: mounts, the queue with its speed, what is stuck and why.
std::string daemon_status_text(const std::string& status);

// Waits until everything (`inode` 0: of the whole node directory) is on the grid, with a progress
// bar. ok at once when no daemon runs.
Task<Result<>> flush_with_progress(std::filesystem::path node, std::uint64_t inode,
                                   std::optional<std::chrono::duration<double>> limit, bool quiet);

}  // namespace lafs::cli
