// SPDX-License-Identifier: Apache-2.0
#include "grid/known_server.h"

#include "grid/storage/remote_server.h"

namespace lafs::grid {

Result<storage::KnownServer> known_server(const ServerEntry& entry, asio::any_io_executor executor,
                                          const ServerWish& wish, bool reports) {
  if (!wish.forbidden.empty()) return fail(Errc::unsupported, entry.id + ": " + wish.forbidden);
  if (wish.use == ServerWish::Use::none)
    return fail(Errc::unsupported, entry.id + ": private/servers.yaml says not to use it");
  for (const auto& text : entry.nurls) {
    auto nurl = storage::Nurl::parse(text);
    if (!nurl || nurl->tor) continue;
    storage::KnownServer out;
    out.id = entry.id;
    out.nickname = entry.nickname;
    out.permutation_seed = entry.permutation_seed;
    out.lease_seed = entry.lease_seed;
    storage::RemoteServer::Options options;
    options.name = out.name();
    options.reports = reports;
    if (!wish.host.empty()) {
      nurl->host = wish.host;
      nurl->port = wish.port;
    }
    if (wish.timeout) options.reply_timeout = *wish.timeout;
    if (wish.connections) options.max_connections = *wish.connections;
    out.preferred = wish.preferred;
    out.only_read = wish.use == ServerWish::Use::read;
    out.server = std::make_shared<storage::RemoteServer>(std::move(executor), std::move(*nurl),
                                                         std::move(options));
    return out;
  }
  return fail(Errc::unsupported,
              entry.id + ": announces no address over HTTPS (anonymous-storage-NURLs)");
}

}  // namespace lafs::grid
