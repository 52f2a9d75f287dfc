// SPDX-License-Identifier: Apache-2.0
#pragma once

// From what is announced about a server to a server that can be asked.

#include <string>

#include "grid/node_dir/servers_yaml.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

// One entry, used as its owner wants it. Errc::unsupported when it announces no address over HTTPS,
// or when it may not be contacted. Nothing is connected yet.
Result<storage::KnownServer> known_server(const ServerEntry& entry, asio::any_io_executor executor,
                                          const ServerWish& wish = {}, bool reports = false);

}  // namespace lafs::grid
