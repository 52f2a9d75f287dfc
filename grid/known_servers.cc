// SPDX-License-Identifier: Apache-2.0
#include "grid/known_servers.h"

#include <algorithm>

#include "grid/base/log.h"
#include "grid/node_dir/files.h"
#include "grid/storage/remote_server.h"

namespace lafs::grid {

Result<storage::KnownServer> known_server(const ServerEntry& entry,
                                          asio::any_io_executor executor) {
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
    out.server = std::make_shared<storage::RemoteServer>(std::move(executor), std::move(*nurl),
                                                         std::move(options));
    return out;
  }
  return fail(Errc::unsupported,
              entry.id + ": announces no address over HTTPS (anonymous-storage-NURLs)");
}

Result<KnownServers> known_servers(const NodeDir& node, asio::any_io_executor executor) {
  TRY(file, node.servers());
  TRY(preferred, node.config().text("client", "peers.preferred"));
  // Commas separate; line feeds come from continued lines.
  std::vector<std::string> first;
  std::string_view rest = preferred ? std::string_view(*preferred) : std::string_view{};
  while (!rest.empty()) {
    const auto id = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), id.size() + 1));
    if (const auto name = trimmed(id); !name.empty()) first.emplace_back(name);
  }
  KnownServers out;
  out.skipped = std::move(file.skipped);
  for (const auto& entry : file.servers) {
    auto server = known_server(entry, executor);
    if (!server) {
      out.skipped.push_back(server.error().context);
      continue;
    }
    server->preferred = std::ranges::find(first, entry.id) != first.end();
    out.roster.add(std::move(*server));
  }
  for (const auto& why : out.skipped) log::info("server left out: " + why);
  if (out.roster.empty()) {
    return fail(Errc::no_servers,
                node.private_path("servers.yaml").string() + " names no usable storage server" +
                    (out.skipped.empty() ? "; copy the grid's servers.yaml there"
                                         : "; the first: " + out.skipped.front()));
  }
  return out;
}

}  // namespace lafs::grid
