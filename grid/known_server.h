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

// What there is to say about the grid manager's certificate of a server that needs one; nothing for
// others.
struct CertificateRemark {
  std::string text;
  bool warning = false;  // it ends within two weeks, has ended, or there is none
};
std::optional<CertificateRemark> certificate_remark(const storage::KnownServer& server,
                                                    std::chrono::system_clock::time_point now);

// How far the server's clock was ahead of ours when it last told its version, if it said the time.
std::optional<std::chrono::seconds> clock_ahead(const storage::KnownServer& server);

}  // namespace lafs::grid
