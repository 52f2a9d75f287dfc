// SPDX-License-Identifier: Apache-2.0
#pragma once

// The I/O thread of one command, and what signals do to it: the first SIGINT or SIGTERM asks the
// command to stop and lets it clean up, the second ends the process at once.

#include <functional>

#include "frontends/cli/convert.h"
#include "grid/base/offload.h"

namespace lafs::cli {

struct Io {
  asio::any_io_executor executor;
  Pool& pool;
};

struct Ended {
  Result<Exit> result;
  int signal = 0;  // the one that asked it to stop
};

// Runs `body` to its end.
Ended run_io(std::function<Task<Result<Exit>>(Io)> body);

// Waits until this task is asked to stop, and lets what follows run as if it had not been: for
// servers, whose end is a signal.
Task<> wait_for_stop();
// The second half of it: this task has been asked to stop, has heard it, and now cleans up.
Task<> heard_stop();

}  // namespace lafs::cli
