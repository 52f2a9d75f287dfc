// SPDX-License-Identifier: Apache-2.0
#pragma once

// GET /metrics on a port of this host, for Prometheus. Plain HTTP without any secret, so it listens
// on 127.0.0.1 only; whoever wants it elsewhere puts a proxy in front.

#include <memory>

#include "grid/base/metrics.h"
#include "grid/base/task.h"

namespace lafs::metrics {

class Endpoint {
 public:
  // `registry` outlives the endpoint.
  Endpoint(asio::any_io_executor executor, const Registry& registry);
  ~Endpoint();

  // Port 0 takes a free one. Returns the port. Errc::busy, access_denied, io.
  Result<std::uint16_t> listen(std::uint16_t port);
  // Call before destruction, if it listened.
  Task<> close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lafs::metrics
