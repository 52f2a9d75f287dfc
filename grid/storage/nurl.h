// SPDX-License-Identifier: Apache-2.0
#pragma once

// The two addresses a storage server is known by (spec/storage 2.2, 2.3). Both come from
// announcements and configuration files, so they are parsed strictly and within bounds; what is
// accepted prints as the same address again. Both contain the swissnum, which is a secret.

#include <string>
#include <string_view>
#include <vector>

#include "grid/base/result.h"
#include "grid/caps/keys.h"

namespace lafs::grid::storage {

// pb://<SPKI pin>@<host>:<port>/<swissnum>#v=1: where and how to reach a server by HTTPS.
struct Nurl {
  bool tor = false;  // "pb+tor://": the host is an onion name
  std::string pin;   // 43 characters: base64url of the SHA-256 of the server's public key
  std::string host;  // name, IPv4, or IPv6 without brackets
  std::uint16_t port = 443;
  std::string swissnum;  // printable ASCII without '#' and '?'

  // Errc::bad_config. A missing port means 443.
  static Result<Nurl> parse(std::string_view text);
  std::string text() const;
  bool operator==(const Nurl&) const = default;
};

// pb://<tub id>@<hints>/<name>: a Foolscap address. We speak no Foolscap to storage servers, but
// the tub id is the seed of lease secrets and write enablers also over HTTPS.
struct Furl {
  LeaseSeed tub_id{};
  std::vector<std::string> hints;  // verbatim; may be empty
  std::string name;                // the swissnum

  // Errc::bad_config. The tub id must be the usual 32 characters.
  static Result<Furl> parse(std::string_view text);
  std::string text() const;
  bool operator==(const Furl&) const = default;
};

// One usable place of a location: "tcp:host:port", "tor:host:port" or the old "host:port".
struct Location {
  bool tor = false;
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const Location&) const = default;
};

// Nothing for kinds we cannot reach (i2p, unknown ones) and for malformed hints.
std::optional<Location> parse_hint(std::string_view hint);

// The NURLs a server announces for its location setting, e.g. "tcp:a.example:3457,tor:...:80".
std::vector<Nurl> nurls_of(std::string_view location, std::string_view pin,
                           std::string_view swissnum);

}  // namespace lafs::grid::storage
