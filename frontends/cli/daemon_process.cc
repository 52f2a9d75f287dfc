// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/daemon_process.h"

#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <ctime>
#include <memory>

#include "grid/base/log_setup.h"
#include "grid/base/notify.h"
#include "grid/node_dir/rights.h"

namespace lafs::cli {

// Waits without a task: a process that ends early, because something is wrong, has nothing to join.
struct DaemonProcess::Hangups : std::enable_shared_from_this<Hangups> {
  Hangups(const asio::any_io_executor& executor, DaemonProcess& process)
      : set(executor, SIGHUP), owner(process) {}
  void wait() {
    set.async_wait([weak = weak_from_this()](const boost::system::error_code& error, int) {
      const auto self = weak.lock();
      if (error || !self) return;
      self->owner.heard_hangup();
      self->wait();
    });
  }
  asio::signal_set set;
  DaemonProcess& owner;
};

namespace {

// Shows the service manager that the I/O thread still turns.
Task<> feed_watchdog(Duration interval) {
  for (;;) {
    co_await sleep_for(interval);
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    notify_service_manager("WATCHDOG=1");
  }
}

std::string microseconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1000);
}

}  // namespace

DaemonProcess::DaemonProcess(asio::any_io_executor executor, std::filesystem::path node,
                             std::string log_level)
    : executor_(std::move(executor)),
      node_(std::move(node)),
      log_level_(std::move(log_level)),
      tasks_(executor_) {}

DaemonProcess::~DaemonProcess() = default;

Result<DaemonProcess::Change> DaemonProcess::read_log(const grid::NodeDir& node) const {
  const auto& config = node.config();
  const auto wrong = [&](const char* key, const std::string& what) {
    return fail(Errc::bad_config, config.where("log", key) + ": [log] " + key + " " + what);
  };
  log::Setup setup;
  TRY(level, config.text("log", "level"));
  if (level) {
    const auto known = log::level_of(*level);
    if (!known) return wrong("level", "is none of debug, info, warning, error, off");
    setup.level = *known;
  }
  // What was typed wins.
  if (const auto typed = log::level_of(log_level_)) setup.level = *typed;
  TRY(format, config.text("log", "format"));
  using Form = log::Setup::Form;
  if (!format || *format == "text") {
    setup.form = Form::text;
  } else if (*format == "json") {
    setup.form = Form::json;
  } else if (*format == "journal") {
    setup.form = Form::journal;
  } else {
    return wrong("format", "is none of text, json, journal");
  }
  if (!format && node.storage().json_log) setup.form = Form::json;
  TRY(file, config.text("log", "file"));
  if (to_file_ && file && !file->empty()) setup.file = node.path() / *file;
  if (!format && !file && setup.form == Form::text && log::is_journal()) setup.form = Form::journal;
  return [setup] {
    if (auto done = log::set_up(setup); !done) log::error(done.error().message());
  };
}

Result<> DaemonProcess::begin(const grid::NodeDir& node, bool to_file) {
  to_file_ = to_file;
  TRY(change, read_log(node));
  change();
  for (const auto& complaint : grid::complaints_about_rights(node.path())) log::warning(complaint);
  hangups_ = std::make_shared<Hangups>(executor_, *this);
  hangups_->wait();
  return {};
}

DaemonProcess::Part DaemonProcess::on_reload(std::string what, Reader reader) {
  return {*this, readers_.emplace(readers_.end(), std::move(what), std::move(reader))};
}

Result<std::string> DaemonProcess::reload() {
  TRY(node, grid::NodeDir::open(node_));
  std::vector<std::pair<std::string, Change>> changes;
  TRY(log_change, read_log(node));
  changes.emplace_back("", std::move(log_change));
  for (const auto& [what, reader] : readers_) {
    auto change = reader(node);
    if (!change) return annotate(std::move(change.error()), what);
    if (*change) changes.emplace_back(what, std::move(*change));
  }
  std::string names;
  for (const auto& [what, change] : changes) {
    change();
    if (!what.empty()) names += (names.empty() ? "" : ", ") + what;
  }
  if (!node.warning().empty()) log::warning(node.warning());
  return "the settings were read again" + (names.empty() ? std::string() : ": " + names);
}

void DaemonProcess::heard_hangup() {
  notify_service_manager("RELOADING=1\nMONOTONIC_USEC=" + microseconds_now());
  auto done = reload();
  notify_service_manager("READY=1");
  if (done) {
    log::info(*done);
  } else {
    log::error("the settings stay as they are: " + done.error().message());
  }
}

void DaemonProcess::ready(const std::string& status) {
  notify_service_manager("READY=1\nSTATUS=" + status);
  if (const auto interval = watchdog_interval())
    tasks_.spawn(feed_watchdog(std::chrono::duration_cast<Duration>(*interval / 2)));
}

void DaemonProcess::stopping() {
  log::info("stopping");
  notify_service_manager("STOPPING=1");
}

Task<> DaemonProcess::close() {
  hangups_.reset();
  std::signal(SIGHUP, SIG_IGN);  // one that comes while it ends must not kill it
  tasks_.cancel();
  co_await tasks_.join();
}

}  // namespace lafs::cli
