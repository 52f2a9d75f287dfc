// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tells a storage node's introducers about its server, again after every loss and restart (spec/
// storage 8.2-8.5). I/O thread only; close() before destruction.

#include <functional>
#include <memory>
#include <vector>

#include "grid/introducer/client.h"
#include "grid/storage_node.h"

namespace lafs::grid {

class StorageAnnouncer {
 public:
  // Reads the node's key, its introducers and its grid manager certificates, and begins. Nothing is
  // announced when there is no introducer. Errc::bad_config.
  static Result<std::unique_ptr<StorageAnnouncer>> start(asio::any_io_executor executor,
                                                         const NodeDir& node,
                                                         const StorageNode& who);
  ~StorageAnnouncer();

  // Other introducers, nickname, certificates, notice: what has changed is announced once what is
  // returned is called. Errc::bad_config; then nothing changes.
  Result<std::function<void()>> reload(const NodeDir& node);

  std::vector<introducer::Client::Status> introducers() const;
  Task<> close();

 private:
  struct State;
  explicit StorageAnnouncer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lafs::grid
