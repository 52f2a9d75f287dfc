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
  TRY(membership, grid::Membership::open(node, io.executor));
  grid::Client::Options options;
  options.encoding.k = node.shares().needed;
  options.encoding.happy = node.shares().happy;
  options.encoding.n = node.shares().total;
  TRY(convergence, node.convergence_secret());
  options.convergence_secret = std::move(convergence);
  TRY(lease, node.lease_secret());
  options.lease_secret = lease;
  options.spare_keys = node.private_path("spare-keys");
  std::unique_ptr<Session> out(new Session(io, std::move(node), std::move(membership)));
  out->client_ = std::make_unique<grid::Client>(io.executor, out->membership_->roster(), io.pool,
                                                std::move(options));
  cache::CachedClient::Options cached;
  cached.disk = cache::ReadCache::Options{.directory = out->node_.private_path("cache").string(),
                                          .node_secret = lease};
  out->cached_ =
      std::make_unique<cache::CachedClient>(io.executor, *out->client_, std::move(cached));
  return out;
}

Result<std::function<void()>> Session::reload(const grid::NodeDir& node) {
  TRY(members, membership_->reload(node));
  return [this, members = std::move(members), node] {
    members();
    node_ = node;
    auto encoding = client_->options().encoding;
    encoding.k = node_.shares().needed;
    encoding.happy = node_.shares().happy;
    encoding.n = node_.shares().total;
    client_->set_encoding(encoding);
  };
}

Task<Result<>> Session::find_servers() {
  co_return co_await membership_->find_servers(node_.shares().happy, std::chrono::seconds(15));
}

Task<> Session::close() {
  co_await cached_->close();
  co_await client_->close();
  co_await membership_->close();
}

Task<Result<Exit>> with_session(Io io, const Globals& globals,
                                std::function<Task<Result<Exit>>(Session&)> body) {
  CO_TRY(session, Session::open(io, globals));
  auto found = co_await session->find_servers();
  Result<Exit> outcome = Exit::ok;
  if (found) {
    outcome = co_await body(*session);
  } else {
    outcome = std::unexpected(std::move(found.error()));
  }
  co_await session->close();
  co_return outcome;
}

}  // namespace lafs::cli
