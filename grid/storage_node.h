// SPDX-License-Identifier: Apache-2.0
#pragma once

// A storage server as a node directory describes it: keys, addresses, disk folder. A Tahoe storage
// node's directory is served as it is, under the same identity (spec/storage 2, 8.6, 12.3):
//
//   private/node.pem       certificate and key        private/storage.furl   holds the swissnum
//   private/node.privkey   the server id's key        permutation-seed       its place in the order
//   my_nodeid, node.pubkey for people                 storage/               shares
//   tahoe.cfg              [node] tub.port and tub.location: where to listen, what to announce

#include <optional>
#include <string>
#include <vector>

#include "grid/node_dir.h"
#include "grid/storage/identity.h"
#include "grid/storage/nurl.h"

namespace lafs::grid {

struct Endpoint {
  std::string host;  // "0.0.0.0" for every interface
  std::uint16_t port = 0;

  // "HOST:PORT", "[IPv6]:PORT" or "PORT". Errc::bad_argument.
  static Result<Endpoint> parse(std::string_view text);
  bool operator==(const Endpoint&) const = default;
};

// The places that a tub.port setting names ("tcp:3457:interface=127.0.0.1", "3457"), and Errc::
// bad_argument for what we cannot listen on (tor, i2p). "disabled" is none.
Result<std::vector<Endpoint>> parse_tub_port(std::string_view text);

// Where a node listens and what it announces: [node] tub.port and tub.location of tahoe.cfg. A
// missing tub.port is read from client.port, or chosen and written there. Errc::bad_config.
struct Places {
  std::vector<Endpoint> listen;
  std::string location;  // hints, separated by commas
};
Result<Places> configured_places(const NodeDir& node);
Places places_at(const Endpoint& address);
// The same of a port and a location as other settings give them; no location means "AUTO".
// Errc::bad_argument.
Result<Places> places_of(std::string_view port, std::optional<std::string_view> location);

// The Foolscap address in a file of one line, whose secret name is made when it is missing and kept
// otherwise; the file is brought up to date with where we are. Errc::bad_config when it belongs to
// another identity.
Result<storage::Furl> own_furl(const std::filesystem::path& file, const storage::Identity& identity,
                               const std::string& location);

// Who the server is, from its files; what is missing is made and written.
struct StorageNode {
  storage::Identity identity;
  std::string swissnum;
  std::vector<Endpoint> listen;
  ServerEntry announcement;  // as clients put it into their servers.yaml

  // `address`: listen there, and announce it, instead of what tahoe.cfg says.
  static Result<StorageNode> prepare(const NodeDir& node, std::optional<Endpoint> address);
};

// Where clients find a server by HTTPS, as its NURLs say.
std::vector<Endpoint> endpoints_of(const ServerEntry& entry);

// A free TCP port of this host below the range that outgoing connections use, so that it is likely
// to be free again when the server comes back. `taken`: ports not to choose. Errc::busy.
Result<std::uint16_t> choose_free_port(const std::string& host,
                                       const std::vector<std::uint16_t>& taken);

}  // namespace lafs::grid
