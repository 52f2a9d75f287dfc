// SPDX-License-Identifier: Apache-2.0
#pragma once

// What servers said about themselves lately, so that a publish need not ask again how much room
// they have. Plain; shared by the mutable files of a node.

#include <map>
#include <optional>
#include <string>

#include "grid/base/task.h"
#include "grid/storage/server.h"

namespace lafs::grid {

class ServerFacts {
 public:
  // Long enough for a burst of new directories, short enough to see a disk fill up.
  explicit ServerFacts(Duration believed = std::chrono::seconds(60)) : believed_(believed) {}

  std::optional<storage::ServerVersion> find(const std::string& server, TimePoint now) const;
  void learn(const std::string& server, storage::ServerVersion version, TimePoint now);
  // It refused a share, or failed: ask again.
  void doubt(const std::string& server) { facts_.erase(server); }

 private:
  struct Fact {
    storage::ServerVersion version;
    TimePoint until;
  };
  Duration believed_;
  std::map<std::string, Fact> facts_;
};

}  // namespace lafs::grid
