// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every command that serves the files of a node directory and stays has in common: the control
// socket, the log, the service manager, settings that are read again. I/O thread only.
//
//   FilesDaemon files(session, drive, globals.log_level);
//   CO_TRY_DO(files.begin());
//   ...
//   co_await files.close();   // before drive.close()

#include "frontends/cli/daemon_process.h"
#include "frontends/daemon.h"
#include "frontends/fs/login.h"
#include "grid/base/metrics_endpoint.h"

namespace lafs {

class FilesDaemon {
 public:
  FilesDaemon(Drive& drive, const std::string& log_level);

  // `log_to_file`: see DaemonProcess. Errc::busy when another daemon serves the node directory.
  Result<> begin(bool log_to_file = true);

  cli::DaemonProcess& process() { return process_; }
  Daemon& daemon() { return daemon_; }
  // Accounts that are read again with everything else.
  void follow(fs::Login& login);

  // Serving `name` at `where`; for a daemon of one service.
  void ready(const std::string& name, const std::string& where);
  Task<> close();

 private:
  Drive& drive_;
  cli::DaemonProcess process_;
  Daemon daemon_;
  std::vector<Supervisor::State> services_;
  metrics::Endpoint metrics_;
  bool shows_metrics_ = false;
  cli::DaemonProcess::Part members_, accounts_;
};

// What is on its way to the grid, for Prometheus. The drive outlives whoever asks.
void show_queue(metrics::Registry& figures, Drive& drive);

}  // namespace lafs
