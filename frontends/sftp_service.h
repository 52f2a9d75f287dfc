// SPDX-License-Identifier: Apache-2.0
#pragma once

// The SFTP server of a process: the listener of frontends/sftp, the accounts of the node directory,
// and a view of the Drive for each account. What `lafs serve sftp` runs. I/O thread only.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "frontends/drive.h"
#include "frontends/fs/login.h"
#include "frontends/sftp/server.h"

namespace lafs {

struct SftpSettings {
  std::vector<std::string> addresses;
  std::filesystem::path accounts;
  std::filesystem::path host_keys;                // a directory
  std::optional<std::filesystem::path> host_key;  // Tahoe's only one, beside those
  std::string durability;                         // of served_durability(); empty: as configured
  std::size_t connections = 256, connections_of_address = 64;

  // [sftpd] of tahoe.cfg, and our defaults where it says nothing: 127.0.0.1:8022, private/accounts,
  // private. bad_config with file and line.
  static Result<SftpSettings> read(const grid::NodeDir& node);
};

class SftpService {
 public:
  // Listens on return. `login` is shared with the other protocols of the process.
  static Task<Result<std::unique_ptr<SftpService>>> start(Drive& drive, fs::Login& login,
                                                          SftpSettings settings);
  ~SftpService();

  const std::vector<std::string>& addresses() const { return server_->addresses(); }
  const std::vector<sftp::HostKey>& host_keys() const { return keys_; }
  std::size_t connections() const { return server_->connections(); }
  // Clients at work get `grace`. Call once; before Drive::close().
  Task<> stop(Duration grace);

 private:
  explicit SftpService(Drive& drive) : drive_(drive) {}
  Task<Result<std::shared_ptr<fs::Filesystem>>> open_root(fs::Account account);

  Drive& drive_;
  fs::GridFs::Durability durability_ = fs::GridFs::Durability::journal;
  std::vector<sftp::HostKey> keys_;
  std::unique_ptr<sftp::Server> server_;
};

}  // namespace lafs
