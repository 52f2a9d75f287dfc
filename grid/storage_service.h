// SPDX-License-Identifier: Apache-2.0
#pragma once

// A running storage server: the disk server of a node directory behind HTTPS on its addresses, its
// collector, and its figures. I/O thread only; close() before destruction.

#include <memory>

#include "grid/base/metrics.h"
#include "grid/base/offload.h"
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
  // Takes no new connections; requests under way may take `patience`. Then close().
  Task<> drain(Duration patience);
  Task<> close();

 private:
  struct Parts;
  explicit StorageService(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace lafs::grid
