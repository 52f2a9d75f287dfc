// SPDX-License-Identifier: Apache-2.0
#pragma once

// A network to be slow on: a TCP proxy on loopback in front of one server, with delay, a limit of
// bandwidth, and faults on command. It runs on a thread of its own, so it also works in front of
// whoever blocks. `tc netem` needs rights and a kernel module; this needs neither.
//
// Every member function may be called from any thread, and has taken effect when it returns.

#include <memory>
#include <optional>
#include <string>

#include "grid/base/task.h"

namespace lafs::cli {

// What happens to the bytes of a connection.
struct Weather {
  Duration round_trip{};        // added; half of it each way
  std::uint64_t bandwidth = 0;  // bytes a second each way, 0: no limit. Of the default weather,
                                // all connections share it; a connection's own is its own
  bool stalled = false;         // nothing moves any more; connections are still accepted
  Duration drip{};              // one byte in this time instead of all (a slow loris)
  std::optional<std::uint64_t>
      cut_after{};  // reset when so many more bytes have gone to the client
  std::optional<std::uint64_t>
      corrupt_at{};  // one bit flips after so many more bytes to the client
};

class TcpProxy {
 public:
  // In front of `port` of 127.0.0.1. Listens when it returns; throws when the system has no port.
  explicit TcpProxy(std::uint16_t port, Weather weather = {});
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  std::uint16_t port() const;
  // For all connections, those to come and those there are.
  void set(Weather weather);
  // For one connection, numbered from 0 in the order they came. Nothing when it is gone.
  void set(std::size_t connection, Weather weather);
  // Resets what is connected now; new connections are welcome.
  void cut();
  // Refuses new connections from now on, or welcomes them again.
  void refuse(bool refused = true);

  std::size_t accepted() const;     // connections so far
  std::uint64_t to_client() const;  // bytes passed on so far
  std::uint64_t to_server() const;

  // One line of text as a command, for tests in other languages:
  //   rtt MS | bandwidth BYTES | stall on|off | drip MS | cut-after N | corrupt-at N
  //   each followed by a connection's number or not; and: cut | refuse on|off | clear | stats
  // Returns "ok", facts, or "error ...".
  std::string command(const std::string& line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lafs::cli
