// SPDX-License-Identifier: Apache-2.0
#pragma once

// What tahoe.cfg says about the storage server of a node directory (spec/storage 12.2). Tahoe's own
// options stand in [storage]. Those that only lafs knows stand in [storageserver.plugins.lafs]:
// Tahoe refuses to start when it meets an unknown option anywhere else, and a directory that we
// serve must stay one that Tahoe can serve.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "grid/node_dir/config_file.h"
#include "grid/server/expiry.h"

namespace lafs::grid {

struct StorageConfig {
  // [storage]
  bool enabled = true;
  bool read_only = false;
  std::uint64_t reserved_space = 0;  // bytes of the disk left to others
  std::filesystem::path directory;   // absolute or below the node directory
  storage::ExpiryPolicy expiry;      // expire.*

  // [storageserver.plugins.lafs]
  std::optional<std::uint64_t> size_limit;  // size_limit: bytes of everything stored
  std::chrono::seconds upload_timeout = std::chrono::minutes(30);  // upload_timeout, of idleness
  std::optional<std::uint16_t> metrics_port;                       // metrics_port, on 127.0.0.1
  bool json_log = false;                                           // log_format = json
  std::string notice;                  // notice: what status of clients shows beside the server
  bool asks_feedback = false;          // feedback: clients that agreed to may say how they fare
  std::size_t max_connections = 4096;  // max_connections
  std::size_t max_connections_per_peer = 1024;  // max_connections_per_peer

  // All errors are Errc::bad_config, with the file and the line.
  static Result<StorageConfig> read(const ConfigFile& config, const std::filesystem::path& node);
};

}  // namespace lafs::grid
