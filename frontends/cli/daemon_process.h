// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every process that stays owes those who look after it: a log as [log] of tahoe.cfg and --log
// say, READY, STOPPING and the watchdog of the service manager, and settings that are read again on
// SIGHUP. I/O thread only.
//
//   DaemonProcess process(io.executor, node.path(), globals.log_level);
//   CO_TRY_DO(process.begin(node));
//   auto accounts = process.on_reload("accounts", ...);   // while the part lives
//   process.ready("serving SFTP");
//   co_await wait_for_stop();
//   process.stopping();
//   ...
//   co_await process.close();

#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "grid/base/task.h"
#include "grid/node_dir.h"

namespace lafs::cli {

class DaemonProcess {
 public:
  // Makes a part follow the new settings; must not fail. Empty: they are the same to it.
  using Change = std::function<void()>;
  // Looks at a node directory that was read again. All parts look before the first one changes, so
  // that an error anywhere leaves everything as it was.
  using Reader = std::function<Result<Change>(const grid::NodeDir& node)>;

  // `log_level`: what --log said; empty: what tahoe.cfg says.
  DaemonProcess(asio::any_io_executor executor, std::filesystem::path node, std::string log_level);
  ~DaemonProcess();
  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  // Sets up the log, and listens to SIGHUP from now on. `to_file`: whether [log] file is followed;
  // not by who was told another file. Errc::bad_config.
  Result<> begin(const grid::NodeDir& node, bool to_file = true);

  // Takes part in reloads as long as it lives. The process outlives it.
  class Part {
   public:
    Part() = default;
    Part(Part&& other) noexcept
        : process_(std::exchange(other.process_, nullptr)), at_(other.at_) {}
    Part& operator=(Part&& other) noexcept {
      std::swap(process_, other.process_);
      std::swap(at_, other.at_);
      return *this;
    }
    ~Part() {
      if (process_) process_->readers_.erase(at_);
    }

   private:
    friend class DaemonProcess;
    using Place = std::list<std::pair<std::string, Reader>>::iterator;
    Part(DaemonProcess& process, Place at) : process_(&process), at_(at) {}
    DaemonProcess* process_ = nullptr;
    Place at_;
  };
  [[nodiscard]] Part on_reload(std::string what, Reader reader);

  // What SIGHUP does. What has changed, for people; an error names file and line, and everything
  // stays as it was.
  Result<std::string> reload();

  // Serving; feeds the watchdog from now on.
  void ready(const std::string& status);
  void stopping();
  Task<> close();

 private:
  Result<Change> read_log(const grid::NodeDir& node) const;
  void heard_hangup();

  asio::any_io_executor executor_;
  std::filesystem::path node_;
  std::string log_level_;
  bool to_file_ = true;
  std::list<std::pair<std::string, Reader>> readers_;
  struct Hangups;
  std::shared_ptr<Hangups> hangups_;
  TaskGroup tasks_;
};

}  // namespace lafs::cli
