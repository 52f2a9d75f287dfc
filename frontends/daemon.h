// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a process that serves a node directory's files answers on its control socket: what is on
// its way to the grid, bring it there, mount something more (docs/CONTROL.md). Stands on a Drive,
// whichever frontends use that. I/O thread only.
//
//   Daemon daemon(drive);
//   CO_TRY_DO(co_await daemon.start());
//   ...
//   co_await daemon.close();   // before drive.close()

#include <memory>

#include "frontends/cli/control_server.h"
#include "frontends/mounts.h"

namespace lafs {

class Daemon {
 public:
  explicit Daemon(Drive& drive) : drive_(drive), mounts_(drive) {}

  Mounts& mounts() { return mounts_; }

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
  Task<Result<std::string>> mount(std::string request, cli::ControlServer::Progress progress);
  std::string queue_json(std::size_t items) const;

  Drive& drive_;
  Mounts mounts_;
  std::unique_ptr<cli::ControlServer> control_;
  bool hurried_ = false;
  TimePoint since_ = Clock::now();
};

}  // namespace lafs
