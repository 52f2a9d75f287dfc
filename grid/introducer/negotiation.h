// SPDX-License-Identifier: Apache-2.0
#pragma once

// How two Foolscap tubs agree on a connection (spec/storage 9.1): an HTTP-like upgrade to TLS, a
// hello block from each side, a decision block from the master, which is the side whose tub id is
// the greater text. Plain: text in, text out.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "grid/base/result.h"

namespace lafs::grid::introducer {

// Everything before Banana begins, and each block of it, is this long at most.
inline constexpr std::size_t largest_block = 4096;

// The request that asks the tub `tub_id` for TLS, and what the asked one makes of it: the tub id.
std::string upgrade_request(std::string_view tub_id, std::string_view host);
Result<std::string> requested_tub(std::string_view head);
// The answer to it, and what the asker makes of that.
inline constexpr std::string_view upgrade_answer =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, PB/1.0\r\nConnection: Upgrade\r\n\r\n";
std::string upgrade_refusal(std::string_view why);
Result<> check_upgrade(std::string_view head);

// "key: value" lines; keys become lower case. Errc::protocol, or Errc::refused with the peer's
// words when the block is an error block.
using Block = std::map<std::string, std::string, std::less<>>;
Result<Block> parse_block(std::string_view text);
std::string error_block(std::string_view why);

// Which connection of which peer a listening master keeps when there are several: a peer that comes
// again takes the place of its old connection, unless this one is older.
class ConnectionLedger {
 public:
  explicit ConnectionLedger(std::string own_incarnation)
      : own_incarnation_(std::move(own_incarnation)) {}

  const std::string& own_incarnation() const { return own_incarnation_; }
  // The number of the new connection; Errc::refused for "Duplicate connection". `last`: what the
  // peer's hello said of its last connection.
  Result<std::uint64_t> admit(const std::string& peer_tub, const std::string& peer_incarnation,
                              std::string_view last);
  void ended(const std::string& peer_tub, std::uint64_t number);

 private:
  struct Peer {
    std::string incarnation;
    std::uint64_t number = 0;
    bool alive = false;
  };
  std::string own_incarnation_;
  std::map<std::string, Peer, std::less<>> peers_;
};

class Negotiation {
 public:
  // `own_tub`, `peer_tub`: as their certificates say. `initiator`: we made the connection.
  // `incarnation`: 16 hexadecimal digits, fresh for each attempt of an initiator.
  Negotiation(std::string own_tub, std::string peer_tub, std::string incarnation, bool initiator)
      : own_tub_(std::move(own_tub)),
        peer_tub_(std::move(peer_tub)),
        incarnation_(std::move(incarnation)),
        initiator_(initiator) {}

  bool master() const { return own_tub_ > peer_tub_; }
  // Vocabulary tables are not offered: they save bytes that do not matter here.
  std::string hello() const;
  // The peer's hello. Errc::protocol, refused, or wrong_certificate when it says another tub id
  // than its certificate.
  Result<> heard_hello(const Block& block);
  const std::string& peer_incarnation() const { return peer_incarnation_; }
  const std::string& peer_last() const { return peer_last_; }
  // The master's word, after both hellos; `number` counts this peer's connections.
  std::string decision(std::uint64_t number) const;
  // What the slave makes of it.
  Result<> heard_decision(const Block& block) const;

 private:
  std::string own_tub_, peer_tub_, incarnation_;
  bool initiator_;
  std::string peer_incarnation_, peer_last_ = "none 0";
};

}  // namespace lafs::grid::introducer
