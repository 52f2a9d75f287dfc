// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a node's tahoe.cfg wants `lafs run` to serve. Plain: decided here, done by run_command.cc.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frontends/mounts.h"
#include "grid/node_dir.h"

namespace lafs {

// A part that the configuration enables. `settings`: what it is made from; when that changes, the
// part is made anew.
struct Planned {
  std::string name, settings;
};

// What the configuration enables.
struct Plan {
  std::vector<std::pair<Planned, MountRequest>> mounts;
  std::optional<Planned> sftp, ftp, storage, introducer;
  std::optional<std::uint16_t> metrics_port;

  bool files() const { return !mounts.empty() || sftp || ftp; }
  bool nothing() const { return !files() && !storage && !introducer; }
};

// Errc::bad_config, with file and line; also when there is nothing to run.
Result<Plan> plan_for(const grid::NodeDir& node);

}  // namespace lafs
