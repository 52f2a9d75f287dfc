// SPDX-License-Identifier: Apache-2.0
#pragma once

// A running storage server: the disk server of a node directory behind HTTPS on its addresses. I/O
// thread only; close() before destruction.

#include <memory>

#include "grid/base/offload.h"
#include "grid/storage_node.h"

namespace lafs::grid {

class StorageService {
 public:
  // Wipes half-written uploads of an earlier life, binds every address and serves.
  static Task<Result<std::unique_ptr<StorageService>>> start(asio::any_io_executor executor,
                                                             Pool& pool, const NodeDir& node,
                                                             const StorageNode& who);
  ~StorageService();
  Task<> close();

 private:
  struct Parts;
  explicit StorageService(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace lafs::grid
