// SPDX-License-Identifier: Apache-2.0
#pragma once

// Takes TCP connections on any number of addresses and hands the sockets on. I/O thread only;
// close() before destruction.

#include <functional>
#include <memory>
#include <string>

#include "grid/base/task.h"

namespace lafs {

class TcpListener {
 public:
  // Owns the connected socket that it is given.
  using Accepted = std::function<void(int socket)>;

  TcpListener(asio::any_io_executor executor, Accepted accepted);
  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  // `address`: IPv4 or IPv6 text; "::" takes IPv4 as well, unless somebody has the port there. Port
  // 0 takes a free one. Returns the port. Errc::bad_argument, access_denied, busy, io.
  Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  // Takes no more. What was handed on stays.
  void stop();
  // The same, and waits until nothing of it runs any more.
  Task<> close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lafs
