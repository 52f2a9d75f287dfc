// SPDX-License-Identifier: Apache-2.0
#pragma once

// `lafs bench grid`: files up to real servers on loopback and back, over HTTPS, as clients do it,
// and what it costs; if wanted, through a slow line, and with servers that go bad on the way.

#include <sys/types.h>

#include <filesystem>

#include "frontends/cli/bench/figures.h"
#include "grid/base/task.h"
#include "grid/caps/keys.h"
#include "grid/caps/storage_index.h"

namespace lafs::cli {

struct BenchMember {
  std::string id;
  std::string nickname;
  std::string nurl;  // on 127.0.0.1
  Bytes permutation_seed;
  grid::LeaseSeed lease_seed{};
  pid_t pid = 0;
  std::filesystem::path shares;  // its folder of them
};

struct GridBenchOptions {
  std::uint64_t k = 3, happy = 7, n = 10;
  std::uint64_t size = std::uint64_t{256} << 20;
  Duration round_trip{};        // added to what loopback has
  std::uint64_t bandwidth = 0;  // of each server's line, bytes a second; 0: no limit
  unsigned stall = 0;           // servers that fall silent at a quarter of a download
  unsigned slow = 0;            // servers that take a second longer from then on
  unsigned lie = 0;             // servers whose shares are damaged from then on

  unsigned bad() const { return stall + slow + lie; }

  bool through_proxy() const { return round_trip > Duration{} || bandwidth || stall || slow; }
};

// `say` is told what is under way. The servers have to be up.
Task<Result<std::vector<Figure>>> bench_grid(asio::any_io_executor executor,
                                             std::vector<BenchMember> members,
                                             GridBenchOptions options,
                                             std::function<void(std::string)> say);

}  // namespace lafs::cli
