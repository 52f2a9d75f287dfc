// SPDX-License-Identifier: Apache-2.0
#pragma once

// private/servers.yaml: the storage servers that a node knows without an introducer, in Tahoe's
// static-servers format (spec/storage 8.7).

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "grid/caps/keys.h"

namespace lafs::grid {

struct ServerEntry {
  std::string id;        // "v0-..." or any name
  std::string nickname;  // may be empty
  Bytes permutation_seed;
  LeaseSeed lease_seed{};  // the tub id of the announced FURL
  std::string furl;
  std::vector<std::string> nurls;  // how to reach it over HTTPS; empty: it speaks Foolscap only
  // Grid managers' certificates, each with its signature: of servers that announce nothing.
  std::vector<std::pair<std::string, std::string>> certificates = {};
  bool operator==(const ServerEntry&) const = default;
};

// What the node's owner wants of one server, whatever is announced about it.
//
//   storage:
//     v0-...:
//       ann: {...}               # may be missing: then what introducers announce is used
//       connections: {tcp: tcp}  # Tahoe's; tor and disabled keep us from contacting it
//       lafs:                    # Tahoe passes over this
//         use: read              # all (default), read: no new files go there, none
//         preferred: true
//         address: 10.0.0.7:3457 # reach it there instead of at what it announces
//         timeout: 90 s          # until a reply begins
//         connections: 4         # at a time, at most
struct ServerWish {
  enum class Use { all, read, none };
  Use use = Use::all;
  bool preferred = false;
  std::string host;  // empty: as announced
  std::uint16_t port = 0;
  std::optional<std::chrono::seconds> timeout = {};
  std::optional<unsigned> connections = {};
  std::string forbidden = {};  // why it may not be contacted at all
  bool operator==(const ServerWish&) const = default;
};

struct ServersFile {
  std::vector<ServerEntry> servers;          // in the order of the file
  std::map<std::string, ServerWish> wishes;  // by id
  // Entries that cannot be used, each with "file:line: id: why".
  std::vector<std::string> skipped;
};

// `file` is what errors call it. Errc::bad_config, with the line, when it is not YAML of this form
// at all; one bad entry is only skipped. An empty text names no servers.
Result<ServersFile> parse_servers(std::string_view text, const std::string& file);

// The same file again: parse_servers(format_servers(x)) gives x.
std::string format_servers(const std::vector<ServerEntry>& servers);

}  // namespace lafs::grid
