// SPDX-License-Identifier: Apache-2.0
#pragma once

// private/servers.yaml: the storage servers that a node knows without an introducer, in Tahoe's
// static-servers format (spec/storage 8.7).

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
};

struct ServersFile {
  std::vector<ServerEntry> servers;  // in the order of the file
  // Entries that cannot be used, each with "file:line: id: why".
  std::vector<std::string> skipped;
};

// `file` is what errors call it. Errc::bad_config, with the line, when it is not YAML of this form
// at all; one bad entry is only skipped. An empty text names no servers.
Result<ServersFile> parse_servers(std::string_view text, const std::string& file);

// The same file again: parse_servers(format_servers(x)) gives x.
std::string format_servers(const std::vector<ServerEntry>& servers);

}  // namespace lafs::grid
