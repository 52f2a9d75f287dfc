// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bytes through TLS and nothing else, by blocking calls of OpenSSL as in `openssl s_server` and
// `s_client`: what any protocol on top can reach at most on this machine.

#include <cstdint>
#include <vector>

#include "grid/base/result.h"
#include "grid/storage/identity.h"

namespace lafs::cli {

// Listens on a free loopback port; the descriptor and the port.
Result<std::pair<int, std::uint16_t>> raw_listen();

// Serves connections on `listener` one after another, for ever: reads 8 bytes, a big-endian number;
// takes so many bytes and answers one byte, or, when the highest bit is set, sends so many.
void raw_serve(int listener, const grid::storage::Identity& identity);

// Bytes per second, to the server or from it.
Result<double> raw_send(std::uint16_t port, const std::string& pin, std::uint64_t bytes);
Result<double> raw_receive(std::uint16_t port, const std::string& pin, std::uint64_t bytes);

// Connections to any TLS server that stay open and idle until this is destroyed.
class IdleConnections {
 public:
  IdleConnections(std::uint16_t port, const std::string& pin, std::size_t count);
  ~IdleConnections();
  std::size_t open() const { return sockets_.size(); }

 private:
  std::vector<int> sockets_;
};

}  // namespace lafs::cli
