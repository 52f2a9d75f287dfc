// SPDX-License-Identifier: Apache-2.0
#pragma once

// One command's view of the grid: the node directory, its servers, and the client on top of them.

#include <functional>
#include <memory>

#include "cache/cached_client.h"
#include "frontends/cli/commands.h"
#include "grid/membership.h"

namespace lafs::cli {

class Session {
 public:
  // Reads the node directory; nothing is connected yet. bad_config, no_servers, or what the system
  // said.
  static Result<std::unique_ptr<Session>> open(Io io, const Globals& globals);
  // For a node directory that is open already.
  static Result<std::unique_ptr<Session>> open(Io io, grid::NodeDir node);

  const Io& io() const { return io_; }
  const grid::NodeDir& node() const { return node_; }
  grid::NodeDir& node() { return node_; }
  const std::vector<std::string>& skipped_servers() const { return membership_->skipped(); }
  grid::Membership& membership() { return *membership_; }
  grid::storage::Roster& roster() { return membership_->roster(); }
  grid::Client& client() { return *client_; }
  cache::CachedClient& cached() { return *cached_; }

  // Reads servers, introducers, managers and share counts again, and returns what makes it so; what
  // has not changed keeps its connections. Errors as open(); then nothing has changed. Secrets,
  // and so what the cache holds, stay: they need a new start.
  Result<std::function<void()>> reload(const grid::NodeDir& node);

  // Waits until the introducers have named servers, when that is needed. with_session() does it.
  Task<Result<>> find_servers();
  // Call once, before destruction.
  Task<> close();

 private:
  Session(Io io, grid::NodeDir node, std::unique_ptr<grid::Membership> membership)
      : io_(io), node_(std::move(node)), membership_(std::move(membership)) {}

  Io io_;
  grid::NodeDir node_;
  std::unique_ptr<grid::Membership> membership_;
  std::unique_ptr<grid::Client> client_;
  std::unique_ptr<cache::CachedClient> cached_;
};

// Opens, runs, closes. `body` gets a session that outlives its task.
Task<Result<Exit>> with_session(Io io, const Globals& globals,
                                std::function<Task<Result<Exit>>(Session&)> body);

// The command runs `body` in a session of its own, with options that have been read by then.
template <class Options>
void on_session(Commands& commands, CLI::App* command, std::shared_ptr<Options> options,
                Task<Result<Exit>> (*body)(Session&, const Options&)) {
  commands.on_io(command, [&commands, options, body](Io io) {
    return with_session(io, commands.globals(),
                        [options, body](Session& session) { return body(session, *options); });
  });
}

}  // namespace lafs::cli
