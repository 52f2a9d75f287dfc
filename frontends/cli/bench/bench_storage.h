// SPDX-License-Identifier: Apache-2.0
#pragma once

// The storage server in a process of its own, under load from this one, over TLS on loopback; next
// to raw TLS and to what the disk can sync, measured in the same run.

#include <filesystem>
#include <vector>

#include "frontends/cli/bench/figures.h"
#include "grid/base/result.h"

namespace lafs::cli {

struct StorageBenchOptions {
  std::filesystem::path directory;  // on the disk to be measured; emptied afterwards
  std::uint64_t bulk = 256 << 20;   // bytes of each bulk transfer
  double seconds = 2;               // for each rate of small requests
  unsigned parallel = 16;
  std::size_t idle = 1000;  // idle connections
  bool durable = true;      // off: the server does not wait for the disk
};

// Forks: call it while the process has one thread.
Result<std::vector<Figure>> bench_storage(const StorageBenchOptions& options);

}  // namespace lafs::cli
