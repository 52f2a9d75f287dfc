// SPDX-License-Identifier: Apache-2.0
#pragma once

// Addresses as PORT, PASV, EPRT and EPSV write them, and who may be connected to. Plain.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lafs::ftp {

// IPv4 or IPv6 as bytes; an IPv4 address that came as IPv6 (::ffff:a.b.c.d) is IPv4 here.
struct Address {
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // the first four of an IPv4 address

  static std::optional<Address> parse(std::string_view text);
  std::string text() const;
  bool is_loopback() const;
  bool is_private() const;  // loopback, RFC 1918, link-local, fc00::/7
  bool operator==(const Address&) const = default;
};

struct Endpoint {
  Address address;
  std::uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

// "h1,h2,h3,h4,p1,p2". Nothing for anything else.
std::optional<Endpoint> parse_port(std::string_view text);

// "|1|192.0.2.1|6275|" with any delimiter. `family` is set whenever it could be read.
struct ExtendedPort {
  std::optional<unsigned> family;
  std::optional<Endpoint> endpoint;
};
ExtendedPort parse_extended_port(std::string_view text);

// The text of replies 227 and 229.
std::string passive_text(const Endpoint& endpoint);
std::string extended_passive_text(std::uint16_t port);

// Whether the server may open a data connection there: only to the peer itself, and not to the
// services below port 1024 (RFC 2577).
bool may_connect(const Endpoint& target, const Address& peer);

}  // namespace lafs::ftp
