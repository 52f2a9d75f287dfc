// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/session.h"

#include "grid/base/log.h"

namespace lafs::cli {

Result<std::unique_ptr<Session>> Session::open(Io io, const Globals& globals) {
  TRY(node, grid::NodeDir::open(globals.node_path()));
  return open(io, std::move(node));
}

Result<std::unique_ptr<Session>> Session::open(Io io, grid::NodeDir node) {
  if (!node.warning().empty()) log::warning(node.warning());
  TRY(servers, grid::known_servers(node, io.executor));
  grid::Client::Options options;
  options.encoding.k = node.shares().needed;
  options.encoding.happy = node.shares().happy;
  options.encoding.n = node.shares().total;
  TRY(convergence, node.convergence_secret());
  options.convergence_secret = std::move(convergence);
  TRY(lease, node.lease_secret());
  options.lease_secret = lease;
  std::unique_ptr<Session> out(new Session(io, std::move(node), std::move(servers)));
  out->client_ = std::make_unique<grid::Client>(io.executor, out->servers_.roster, io.pool,
                                                std::move(options));
  cache::CachedClient::Options cached;
  cached.disk = cache::ReadCache::Options{.directory = out->node_.private_path("cache").string(),
                                          .node_secret = lease};
  out->cached_ =
      std::make_unique<cache::CachedClient>(io.executor, *out->client_, std::move(cached));
  return out;
}

Task<> Session::close() {
  co_await cached_->close();
  co_await client_->close();
  co_await servers_.roster.close();
}

Task<Result<Exit>> with_session(Io io, const Globals& globals,
                                std::function<Task<Result<Exit>>(Session&)> body) {
  CO_TRY(session, Session::open(io, globals));
  auto outcome = co_await body(*session);
  co_await session->close();
  co_return outcome;
}

}  // namespace lafs::cli
