// SPDX-License-Identifier: Apache-2.0
#include "frontends/files_daemon.h"

#include "grid/base/log.h"
#include "grid/base/process_metrics.h"

namespace lafs {

void show_queue(metrics::Registry& figures, Drive& drive) {
  const auto ask = [&](const char* name, const char* help, auto what) {
    figures.ask(name, help, {}, [&drive, what] {
      auto* queue = drive.write_back();
      return queue ? static_cast<double>(what(queue->pending(0))) : 0.0;
    });
  };
  ask("lafs_queue_items", "Changes that are not on the grid yet.",
      [](const auto& r) { return r.files + r.directories; });
  ask("lafs_queue_bytes", "Bytes of files that are not on the grid yet.",
      [](const auto& r) { return r.bytes; });
  ask("lafs_queue_stuck", "Changes that failed and are tried again.",
      [](const auto& r) { return r.stuck; });
  ask("lafs_queue_conflicts", "Names where two writers met since the start.",
      [](const auto& r) { return r.conflicts; });
}

FilesDaemon::FilesDaemon(Drive& drive, const std::string& log_level)
    : drive_(drive),
      process_(drive.session().io().executor, drive.session().node().path(), log_level),
      daemon_(drive),
      metrics_(drive.session().io().executor, metrics::of_process()) {
  daemon_.on_status([this] { return services_; });
  daemon_.on_reload([this] { return process_.reload(); });
}

Result<> FilesDaemon::begin(bool log_to_file) {
  auto& session = drive_.session();
  TRY_DO(process_.begin(session.node(), log_to_file));
  TRY_DO(daemon_.start());
  members_ = process_.on_reload(
      "servers", [&session](const grid::NodeDir& node) { return session.reload(node); });
  session.membership().follow();
  TRY(port, session.node().config().number("metrics", "port", 1, 65535));
  if (port) {
    // Another daemon of this node may show its figures there already: no reason not to serve.
    auto shown = metrics_.listen(static_cast<std::uint16_t>(*port));
    shows_metrics_ = shown.has_value();
    if (!shown) log::warning("no metrics: " + shown.error().message());
  }
  show_queue(metrics::of_process(), drive_);
  return {};
}

void FilesDaemon::follow(fs::Login& login) {
  accounts_ = process_.on_reload(
      "accounts", [&login](const grid::NodeDir&) -> Result<cli::DaemonProcess::Change> {
        TRY_DO(login.check_file());
        return [&login] { login.read_again(); };
      });
}

void FilesDaemon::ready(const std::string& name, const std::string& where) {
  services_ = {{.name = name, .serving = true, .where = where, .failures = 0, .why = {}}};
  process_.ready("serving " + name + " on " + where);
}

Task<> FilesDaemon::close() {
  accounts_ = {};
  if (std::exchange(shows_metrics_, false)) co_await metrics_.close();
  co_await daemon_.close();
  co_await process_.close();
}

}  // namespace lafs
