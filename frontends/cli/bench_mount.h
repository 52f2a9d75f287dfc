// SPDX-License-Identifier: Apache-2.0
#pragma once

// A drive beside a rival on the same disk, in the same run: `lafs bench mount`.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "frontends/cli/bench/drive_work.h"

namespace lafs::cli {

struct MountBench {
  std::filesystem::path directory;  // for everything; empty: a temporary one
  bool against_gocryptfs = false;
  unsigned servers = 10;
  std::string shares = "3,7,10";
  unsigned rounds = 3;
  std::vector<std::string> only;  // keys of rows; empty: all
  DriveScale scale;
};

struct MountFigure {
  DriveRow row;
  double ours = 0;
  std::optional<double> rivals;
};

// Starts real servers, mounts a drive of theirs, and works in it and in the rival's by turns; the
// median of the rounds counts. `tell` hears it before everything is ended and removed, which takes
// a while. not_found without the rival's program.
Result<> bench_mount(const MountBench& what,
                     const std::function<void(const std::vector<MountFigure>&)>& tell);

class Commands;
void add_bench_mount_command(Commands& commands);

std::string mount_figures_table(const std::vector<MountFigure>& figures);
std::string mount_figures_json(const std::vector<MountFigure>& figures);

}  // namespace lafs::cli
