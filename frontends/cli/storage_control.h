// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a running storage server does for its operator, over its control socket (storage.sock in
// the node directory, docs/CONTROL.md): collect now, make the usage index anew, look at reported
// shares again. And the commands' side of it. I/O thread only.

#include <memory>
#include <string>
#include <vector>

#include "frontends/cli/control_server.h"
#include "grid/storage_service.h"

namespace lafs::cli {

class StorageControl {
 public:
  // `service` outlives it, and close() comes before the service's. Errc::busy, io.
  static Result<StorageControl> start(asio::any_io_executor executor, std::filesystem::path node,
                                      grid::StorageService& service);
  Task<> close() { return server_->close(); }

 private:
  explicit StorageControl(std::unique_ptr<ControlServer> server) : server_(std::move(server)) {}
  std::unique_ptr<ControlServer> server_;
};

// Of a running server. Errc::not_found: none listens. `seen`: shares looked at so far.
using SharesSeen = std::function<void(std::uint64_t shares)>;
Task<Result<grid::storage::CollectionCycle>> ask_to_collect(std::filesystem::path node,
                                                            grid::storage::ExpiryPolicy policy,
                                                            SharesSeen seen);
Task<Result<>> ask_to_rebuild(std::filesystem::path node, SharesSeen seen);
// Which report: Advisory::file.
Task<Result<>> ask_to_check(std::filesystem::path node, std::string advisory);

}  // namespace lafs::cli
