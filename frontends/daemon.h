// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a process that serves a node directory's files answers on its control socket: what is on
// its way to the grid, bring it there, mount something more (docs/CONTROL.md). Stands on a Drive,
// whichever frontends use that. I/O thread only.
//
//   Daemon daemon(drive);                  // or Daemon(io, node) where no files are served
//   daemon.on_status(...);                 // which services there are
//   CO_TRY_DO(co_await daemon.start());
//   ...
//   co_await daemon.close();   // before drive.close()

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "frontends/cli/control_server.h"
#include "frontends/mounts.h"
#include "frontends/supervisor.h"

namespace lafs {

class Daemon {
 public:
  explicit Daemon(Drive& drive)
      : io_(drive.session().io()), node_(drive.session().node().path()), drive_(&drive) {
    mounts_.emplace(drive);
  }
  Daemon(cli::Io io, std::filesystem::path node) : io_(io), node_(std::move(node)) {}

  // Of a daemon that serves files.
  Mounts& mounts() { return *mounts_; }

  // What `lafs status` shows as services, and what `lafs reload` does. Before start().
  void on_status(std::function<std::vector<Supervisor::State>()> states) {
    states_ = std::move(states);
  }
  void on_reload(std::function<Result<std::string>()> reload) { reload_ = std::move(reload); }

  // Somebody does not want us to wait for the grid at the end.
  bool hurried() const { return hurried_; }

  // Errc::busy when another daemon serves the node directory.
  Result<> start();
  // Ends the mounts and the conversations.
  Task<> close();

 private:
  Task<Result<std::string>> status(std::string request);
  Task<Result<std::string>> flush(std::string request, cli::ControlServer::Progress progress);
  Task<Result<std::string>> hurry();
  Task<Result<std::string>> reload();
  Task<Result<std::string>> mount(std::string request, cli::ControlServer::Progress progress);
  std::string queue_json(std::size_t items) const;

  cli::Io io_;
  std::filesystem::path node_;
  Drive* drive_ = nullptr;
  std::optional<Mounts> mounts_;
  std::function<std::vector<Supervisor::State>()> states_;
  std::function<Result<std::string>()> reload_;
  std::unique_ptr<cli::ControlServer> control_;
  bool hurried_ = false;
  TimePoint since_ = Clock::now();
};

}  // namespace lafs
