// SPDX-License-Identifier: Apache-2.0
#pragma once

// The second half of `lafs bench cache`: the write path as a whole, from a filesystem's calls to
// the journal, and from there to the grid.

#include <string>
#include <vector>

#include "frontends/cli/bench/figures.h"
#include "frontends/cli/session.h"

namespace lafs {

// With the grid away: `count` new files wait. Changes acknowledged a second, memory, and the time
// until a new process can be used. `folder` exists and is thrown away by the caller.
Task<Result<std::vector<cli::Figure>>> bench_pending(asio::any_io_executor executor, Pool& pool,
                                                     std::string folder, std::uint64_t count);

// `count` files of `bytes` each, written below `place` of the session's grid and brought there: a
// second, and a CPU second of this process. The directory that is made for them is removed again.
Task<Result<std::vector<cli::Figure>>> bench_drain(cli::Session& session, std::string place,
                                                   std::uint64_t count, std::uint64_t bytes);

}  // namespace lafs
