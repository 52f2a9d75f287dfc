// SPDX-License-Identifier: Apache-2.0
#pragma once

// The data connection of one transfer: listened for (passive) or made (active), only ever with the
// peer of the control connection.

#include <memory>
#include <random>

#include "frontends/ftp/stream.h"

namespace lafs::ftp {

// A range of ports; 0..0 lets the system choose.
struct PortRange {
  std::uint16_t first = 0, last = 0;
};

// One port that waits for one connection.
class PassivePort {
 public:
  // On `own`, from `range`. busy when all of them are in use.
  static Result<std::unique_ptr<PassivePort>> open(asio::any_io_executor executor,
                                                   const Address& own, PortRange range);
  ~PassivePort();

  std::uint16_t port() const { return port_; }
  // The next connection that comes from `peer`; others are closed. timed_out, cancelled.
  Task<Result<Socket>> accept(Address peer, Duration limit);
  void close();

 private:
  explicit PassivePort(asio::any_io_executor executor) : acceptor_(std::move(executor)) {}
  asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
};

// To the peer, from our address of the control connection. timed_out, unreachable, cancelled.
Task<Result<Socket>> connect_data(Address own, Endpoint target, Duration limit);

// What makes bulk data quick; what the kernel does not know is left out.
void tune_for_bulk(Socket& socket);

}  // namespace lafs::ftp
