// SPDX-License-Identifier: Apache-2.0
#pragma once

// Any storage::Server over HTTPS (spec/storage 3 and 4). Lives on one I/O thread. Accepts
// connections, bounds their number and their patience, and ends them; what happens on one of them
// is http_session.h's.

#include <memory>
#include <string>

#include "grid/base/metrics.h"
#include "grid/base/task.h"
#include "grid/storage/identity.h"
#include "grid/storage/server.h"

namespace lafs::grid::storage {

class HttpService {
 public:
  struct Options {
    std::string swissnum;                         // the secret in our NURL
    std::size_t max_connections = 1024;           // beyond: the one idle for longest makes room
    std::size_t max_connections_per_peer = 1024;  // of one address; beyond: turned away
    std::uint64_t max_requests_per_connection = 100'000;  // then it is closed
    Duration idle_timeout = std::chrono::seconds(300);    // between requests
    // TLS handshake; request head; every 64 KiB of a body, either way.
    Duration progress_timeout = std::chrono::seconds(30);
    std::uint64_t max_mutable_request = std::uint64_t{512} << 20;  // bytes; larger ones get 413
    // Bytes of bodies held in memory by all connections together; more wait their turn.
    std::uint64_t body_memory = std::uint64_t{1} << 30;
    metrics::Registry* metrics = nullptr;  // where it counts; outlives the service
  };

  // `server` outlives the service; it is not closed by it.
  HttpService(asio::any_io_executor executor, Server& server, const Identity& identity,
              Options options);
  ~HttpService();
  HttpService(const HttpService&) = delete;
  HttpService& operator=(const HttpService&) = delete;

  // Binds and starts to serve; may be called for several addresses. `address`: IPv4 or IPv6 text.
  // Port 0 takes a free one. Returns the port. Errc::bad_argument, access_denied, busy, io.
  Task<Result<std::uint16_t>> listen(std::string address, std::uint16_t port);
  // For connections from now on.
  void set_limits(std::size_t max_connections, std::size_t max_connections_per_peer);
  // Serves the requests on a connected stream socket, which is ours from now on, without TLS: for
  // tests that have no use for it.
  void serve_in_the_clear(int socket);
  // Stops listening and ends idle connections; what is being answered may take `patience`.
  Task<> drain(Duration patience);
  // Stops listening, ends every connection and waits for that. Call before destruction.
  Task<> close();

  std::size_t connections() const;
  std::size_t idle_connections() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lafs::grid::storage
