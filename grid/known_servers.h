// SPDX-License-Identifier: Apache-2.0
#pragma once

// From what a node directory says about servers to servers that can be asked.

#include <string>
#include <vector>

#include "grid/node_dir.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

struct KnownServers {
  storage::Roster roster;            // close() it before destruction
  std::vector<std::string> skipped;  // entries that cannot be used, with the reason
};

// Every server of private/servers.yaml that has a NURL we can reach. Nothing is connected yet.
// Errc::no_servers, saying what to do, when there is none.
Result<KnownServers> known_servers(const NodeDir& node, asio::any_io_executor executor);

// One entry. Errc::unsupported when it announces no address over HTTPS.
Result<storage::KnownServer> known_server(const ServerEntry& entry, asio::any_io_executor executor);

}  // namespace lafs::grid
