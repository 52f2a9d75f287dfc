// SPDX-License-Identifier: Apache-2.0
#pragma once

// N storage servers on this machine, for trying and testing: a folder with one node directory and
// one process for each. Everything is on the disk; this class only reads and changes it.
//
//   DIR/servers.yaml     all of them, in Tahoe's static-servers format
//   DIR/introducers.yaml   the introducer that they announce themselves to
//   DIR/introducer/      its node directory
//   DIR/server-1/        a node directory (tahoe.cfg, keys, storage/)
//   DIR/server-1/lafs.pid   held locked by the server while it runs; its process id
//   DIR/server-1/log     what it said
//
// A server is known to be ours by that lock, never by its process id alone: the id of a dead one
// may belong to somebody else by now.

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "grid/base/task.h"
#include "grid/node_dir/files.h"
#include "grid/storage_node.h"

namespace lafs::cli {

// The lock that says "a server runs on this node directory". Errc::busy, with its process id, when
// one does.
Result<grid::FileLock> take_server_lock(const std::filesystem::path& node);

// The process that holds it.
Result<std::optional<pid_t>> server_process(const std::filesystem::path& node);

class LocalGrid {
 public:
  struct Member {
    unsigned number = 0;  // 1, 2, ...
    std::filesystem::path node;
    grid::ServerEntry announcement;
  };

  explicit LocalGrid(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path servers_yaml() const { return directory_ / "servers.yaml"; }
  std::filesystem::path introducers_yaml() const { return directory_ / "introducers.yaml"; }
  std::filesystem::path introducer() const;  // its node directory
  const grid::Endpoint& introducer_address() const { return introducer_address_; }
  const std::vector<Member>& members() const { return members_; }

  // Reads what is there. Errc::not_found when it is no local grid.
  Result<> load();
  // Makes it `count` servers, each with its own key, certificate and port, and writes servers.yaml.
  // Servers that are there already stay as they are, also those above `count`.
  Result<> prepare(unsigned count);

  // Starts a process of this program, detached from the terminal. It may still fail to serve.
  static Result<pid_t> start(const Member& member) { return start(member.node, "storage"); }
  Result<pid_t> start_introducer() const { return start(introducer(), "introducer"); }
  // SIGTERM, and SIGKILL if it takes longer than `patience`. False when it was not running.
  static Result<bool> stop(const std::filesystem::path& node, Duration patience);
  // The last line of its log: why it is not there.
  static std::string last_words(const std::filesystem::path& node);

 private:
  static Result<pid_t> start(const std::filesystem::path& node, const char* service);
  Result<> prepare_introducer();
  Result<> add(unsigned number);
  Result<std::uint16_t> free_port() const;
  Result<Member> read(unsigned number) const;

  std::filesystem::path directory_;
  std::vector<Member> members_;
  grid::Endpoint introducer_address_;
  std::string introducers_text_;  // of DIR/introducers.yaml and of each server's
};

}  // namespace lafs::cli
