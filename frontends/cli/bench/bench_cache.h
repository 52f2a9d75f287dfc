// SPDX-License-Identifier: Apache-2.0
#pragma once

// `lafs bench cache`: what the local side of the drive does, each figure beside what the disk or
// the processor allows in the same run. Nothing is connected to: the grid is away throughout.

#include <string>
#include <vector>

#include "frontends/cli/bench/figures.h"
#include "grid/base/offload.h"

namespace lafs::cli {

struct CacheBench {
  std::string directory;  // on the disk to be measured; a folder is made in it and removed
  std::uint64_t records = 200'000;
  std::uint64_t segments = 1024;  // of 128 KiB
  std::uint64_t entries = 100'000;
};

Task<Result<std::vector<Figure>>> bench_cache(asio::any_io_executor executor, Pool& pool,
                                              CacheBench options);

}  // namespace lafs::cli
