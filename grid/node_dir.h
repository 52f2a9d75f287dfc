// SPDX-License-Identifier: Apache-2.0
#pragma once

// A node directory: who we are and which grid we belong to. The layout and every file format are
// Tahoe's (spec/storage 12), so a Tahoe node directory works as it is, and Tahoe works with ours:
//
//   tahoe.cfg              shares.needed, shares.happy, shares.total, nickname, [storage] ...
//   private/convergence    the secret that makes equal files equal shares
//   private/secret         the secret that lease secrets derive from
//   private/aliases        names of caps; private/root_dir.cap is the alias "tahoe" when it is
//   there private/servers.yaml   the storage servers
//
// Everything in private/ is readable by the owner alone. Blocking: small files, read at start.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "grid/crypto/secret.h"
#include "grid/node_dir/aliases.h"
#include "grid/node_dir/config_file.h"
#include "grid/node_dir/introducers_yaml.h"
#include "grid/node_dir/servers_yaml.h"
#include "grid/storage_config.h"

namespace lafs::grid {

// Any `needed` of `total` shares give a file back; an upload that does not reach `happy` distinct
// servers fails. 1 <= needed <= happy <= total <= 256.
struct ShareCounts {
  unsigned needed = 3;
  unsigned happy = 7;
  unsigned total = 10;

  // "3,4,5": K,H,N. Errc::bad_argument.
  static Result<ShareCounts> parse(std::string_view text);
  Result<> check() const;
  std::string text() const;
  bool operator==(const ShareCounts&) const = default;
};

class NodeDir {
 public:
  // $LAFS_NODE, else ~/.lafs.
  static std::filesystem::path default_path();

  struct Creation {
    ShareCounts shares;
    std::string nickname = "lafs";
    // Text of a servers.yaml, which becomes private/servers.yaml as it is; checked first.
    std::string servers;
    // Addresses of introducers, "pb://..."; become private/introducers.yaml.
    std::vector<std::string> introducers = {};
  };
  // Makes a client's node directory. Errc::exists when it is one already.
  static Result<NodeDir> create(const std::filesystem::path& path, const Creation& what);

  // Reads and checks tahoe.cfg (a missing one equals an empty one, as in Tahoe). Errc::bad_config
  // with file and line, or what the system said, naming the path and what to do.
  static Result<NodeDir> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path private_path(std::string_view name) const {
    return path_ / "private" / name;
  }
  const ConfigFile& config() const { return config_; }
  const std::string& nickname() const { return nickname_; }
  const ShareCounts& shares() const { return shares_; }
  // "sdmf" or "mdmf": the kind of new mutable files.
  const std::string& mutable_format() const { return mutable_format_; }
  const StorageConfig& storage() const { return storage_; }
  // Options that Tahoe would refuse to start with, to be shown as a warning; empty when all is
  // well.
  const std::string& warning() const { return warning_; }

  // Both are made when missing. An empty private/convergence is an empty secret, as in Tahoe.
  Result<Bytes> convergence_secret() const;
  Result<Secret32> lease_secret() const;

  Result<Aliases> aliases() const;
  // Errc::not_found, naming the aliases that there are.
  Result<std::string> alias(std::string_view name) const;
  // Appends a line. Errc::exists when the name is taken.
  Result<> add_alias(std::string_view name, std::string_view cap) const;

  // No file: no servers. Entries that cannot be used are logged and left out.
  Result<ServersFile> servers() const;
  // Of private/introducers.yaml and [client] introducer.furl.
  Result<std::vector<IntroducerEntry>> introducers() const;
  // [client] peers.preferred: ids of servers that come first.
  Result<std::vector<std::string>> preferred_servers() const;
  // Errc::bad_config when the node may not connect to anybody directly, as lafs would:
  // [connections] tcp is not "tcp", or [node] reveal-IP-address is false.
  Result<> may_connect() const;
  // [grid_managers]: the public keys, "pub-v0-...", that vouch for servers. Checked where used.
  Result<std::vector<std::pair<std::string, std::string>>> grid_managers() const;

 private:
  NodeDir() = default;
  Result<std::string> secret_text(std::string_view name, bool may_be_empty) const;
  Result<> read_config();

  std::filesystem::path path_;
  ConfigFile config_;
  std::string nickname_;
  ShareCounts shares_;
  std::string mutable_format_ = "sdmf";
  StorageConfig storage_;
  std::string warning_;
};

}  // namespace lafs::grid
