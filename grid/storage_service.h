// SPDX-License-Identifier: Apache-2.0
#pragma once

// A running storage server: the disk server of a node directory behind HTTPS on its addresses, its
// collector, and its figures. I/O thread only; close() before destruction.

#include <functional>
#include <memory>

#include "grid/base/metrics.h"
#include "grid/base/offload.h"
#include "grid/server/advisories.h"
#include "grid/server/collector_state.h"
#include "grid/storage_node.h"

namespace lafs::grid {

class StorageService {
 public:
  // Wipes half-written uploads of an earlier life, binds every address and serves. `metrics`
  // outlives the service and is not asked any more once it is closed.
  static Task<Result<std::unique_ptr<StorageService>>> start(asio::any_io_executor executor,
                                                             Pool& pool, const NodeDir& node,
                                                             const StorageNode& who,
                                                             metrics::Registry& metrics);
  ~StorageService();
  // Settings that may change while it runs: all but what and where it serves.
  void apply(const StorageConfig& config);
  // What an operator asks for while it runs; `seen` hears now and then how far a walk is. A caller
  // that is cancelled ends the walk.
  using Seen = std::function<Task<>(const storage::CollectionTally&)>;
  Task<Result<storage::CollectionCycle>> collect(storage::ExpiryPolicy policy, Seen seen);
  Task<Result<>> rebuild_usage(Seen seen);
  Task<Result<storage::Advisory>> check_advisory(std::string file);
  // Takes no new connections; requests under way may take `patience`. Then close().
  Task<> drain(Duration patience);
  Task<> close();

 private:
  struct Parts;
  StorageService(asio::any_io_executor executor, std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
  Gate gate_;  // of those who ask
};

}  // namespace lafs::grid
