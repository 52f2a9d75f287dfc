// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `lafs doctor` looks at, one finding for each thing: whether it is well, and if not, what to
// do.

#include <string>
#include <vector>

#include "frontends/cli/session.h"

namespace lafs::cli {

struct Finding {
  enum class Verdict { good, warning, problem };
  Verdict verdict = Verdict::good;
  std::string subject;  // "server alpha", "FUSE"
  std::string what;     // what was seen
  std::string advice;   // what to do; empty when all is well
};

// The machine: FUSE, clock, limits. Needs no node directory.
std::vector<Finding> examine_machine();
// The node directory's files: options, permissions, room on its disk.
std::vector<Finding> examine_node(const grid::NodeDir& node);
// Every server and introducer, asked now; and whether they suffice for uploads.
Task<std::vector<Finding>> examine_grid(Session& session);

// What is wrong with the files of a node directory, a line each with its place.
std::vector<std::string> complaints_about(const grid::NodeDir& node);
// An address without its last part, which is a secret.
std::string without_secrets(const std::string& value);

}  // namespace lafs::cli
