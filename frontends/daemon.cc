// SPDX-License-Identifier: Apache-2.0
#include "frontends/daemon.h"

#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace lafs {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr std::size_t most_items = 1000;
constexpr auto progress_every = 250ms;
constexpr auto patient = 24h * 365;

json::object parsed(const std::string& request) { return json::parse(request).get_object(); }

std::string text_of(const json::object& request, const char* key) {
  const auto* value = request.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::optional<double> number_of(const json::object& request, const char* key) {
  const auto* value = request.if_contains(key);
  if (!value || !value->is_number()) return {};
  boost::system::error_code bad;
  const auto number = value->to_number<double>(bad);
  if (bad) return {};
  return number;
}

const char* name_of(cache::PendingItem::What what) {
  switch (what) {
    case cache::PendingItem::What::content:
      return "content";
    case cache::PendingItem::What::new_directory:
      return "directory";
    case cache::PendingItem::What::names:
      return "names";
  }
  return "";
}

const char* name_of(cache::PendingItem::State state) {
  switch (state) {
    case cache::PendingItem::State::waiting:
      return "waiting";
    case cache::PendingItem::State::running:
      return "running";
    case cache::PendingItem::State::stuck:
      return "stuck";
  }
  return "";
}

json::object json_of(const cache::PendingItem& item) {
  json::object out{{"what", name_of(item.what)},
                   {"state", name_of(item.state)},
                   {"path", item.path},
                   {"bytes", item.bytes},
                   {"sent", item.sent},
                   {"names", item.names},
                   {"age_seconds", item.age.count()}};
  if (item.attempts > 0) {
    out["attempts"] = item.attempts;
    out["error"] = item.error;
    out["next_try_seconds"] = item.next_try.count();
  }
  return out;
}

json::object json_of(const cache::PendingReport& report) {
  json::object out{{"files", report.files},
                   {"bytes", report.bytes},
                   {"directories", report.directories},
                   {"names", report.names},
                   {"running", report.running},
                   {"stuck", report.stuck},
                   {"conflicts", report.conflicts},
                   {"stored_files", report.done_files},
                   {"stored_bytes", report.done_bytes},
                   {"published", report.done_publishes},
                   {"bytes_per_second", report.bytes_per_second}};
  out["eta_seconds"] = nullptr;
  if (report.empty()) out["eta_seconds"] = 0;
  if (report.bytes > 0 && report.bytes_per_second > 0)
    out["eta_seconds"] = static_cast<double>(report.bytes) / report.bytes_per_second;
  json::array items, warnings;
  for (const auto& item : report.items) items.push_back(json_of(item));
  for (const auto& warning : report.warnings) warnings.push_back(json::string(warning));
  out["items"] = std::move(items);
  out["warnings"] = std::move(warnings);
  return out;
}

}  // namespace

Result<> Daemon::start() {
  auto listening = cli::ControlServer::listen(io_.executor, node_);
  if (!listening && listening.error().code == Errc::busy) {
    return fail(Errc::busy, "another lafs serves files of the node directory " + node_.string() +
                                "; `lafs run` serves in several ways at once");
  }
  if (!listening) return std::unexpected(std::move(listening.error()));
  control_ = std::move(*listening);
  control_->on("status", [this](std::string request, cli::ControlServer::Progress) {
    return status(std::move(request));
  });
  control_->on("flush", [this](std::string request, cli::ControlServer::Progress progress) {
    return flush(std::move(request), std::move(progress));
  });
  control_->on("reload", [this](std::string, cli::ControlServer::Progress) { return reload(); });
  control_->on("hurry", [this](std::string, cli::ControlServer::Progress) { return hurry(); });
  if (!drive_) return {};
  control_->on("mount", [this](std::string request, cli::ControlServer::Progress progress) {
    return mount(std::move(request), std::move(progress));
  });
  return {};
}

Task<Result<std::string>> Daemon::reload() {
  if (!reload_) co_return fail(Errc::unsupported, "this daemon has no settings to read again");
  CO_TRY(what, reload_());
  co_return json::serialize(json::object{{"what", what}});
}

Task<Result<std::string>> Daemon::hurry() {
  hurried_ = true;
  co_return "{}";
}

Task<> Daemon::close() {
  if (mounts_) co_await mounts_->close();
  // Once, however often we are closed.
  if (auto control = std::move(control_)) co_await control->close();
}

std::string Daemon::queue_json(std::size_t items) const {
  const auto* write_back = drive_ ? drive_->write_back() : nullptr;
  return json::serialize(json_of(write_back ? write_back->pending(items) : cache::PendingReport{}));
}

Task<Result<std::string>> Daemon::status(std::string request) {
  const auto items = number_of(parsed(request), "items").value_or(100);
  json::array mounts;
  if (mounts_) {
    for (const auto& one : mounts_->list())
      mounts.push_back(json::object{
          {"root", one.root}, {"mountpoint", one.mountpoint}, {"read_only", one.read_only}});
  }
  json::array services;
  if (states_) {
    for (const auto& one : states_()) {
      json::object service{{"name", one.name},
                           {"serving", one.serving},
                           {"where", one.where},
                           {"failures", one.failures}};
      if (!one.why.empty()) service["error"] = one.why;
      services.push_back(std::move(service));
    }
  }
  json::object out{{"pid", ::getpid()},
                   {"seconds", std::chrono::duration<double>(Clock::now() - since_).count()},
                   {"mounts", std::move(mounts)},
                   {"services", std::move(services)},
                   {"queue", json::parse(queue_json(static_cast<std::size_t>(
                                 std::clamp<double>(items, 0, most_items))))}};
  co_return json::serialize(out);
}

namespace {

Task<> tell_progress(const cache::WriteBack& queue, cli::ControlServer::Progress progress) {
  for (;;) {
    co_await sleep_for(progress_every);
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    const auto report = queue.pending(0);
    const json::object now{{"files", report.files},
                           {"bytes", report.bytes},
                           {"directories", report.directories},
                           {"stored_bytes", report.done_bytes}};
    co_await progress(json::serialize(now));
  }
}

}  // namespace

// {"do":"flush", "inode": N | "place": "alias:path", "timeout": seconds}
Task<Result<std::string>> Daemon::flush(std::string request,
                                        cli::ControlServer::Progress progress) {
  auto* const queue = drive_ ? drive_->write_back() : nullptr;
  if (!queue) co_return "{}";
  const auto words = parsed(request);
  cache::InodeNo scope = 0;
  const auto* inode = words.if_contains("inode");
  boost::system::error_code none;  // then it is about everything
  if (inode && inode->is_number()) scope = inode->to_number<cache::InodeNo>(none);
  if (none) scope = 0;
  const auto seconds = number_of(words, "timeout").value_or(0);
  const auto limit =
      seconds > 0 && seconds < 1e8
          ? std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds))
          : Duration(patient);
  TaskGroup telling(io_.executor);
  telling.spawn(tell_progress(*queue, std::move(progress)));
  auto done =
      co_await queue->flush(scope, Clock::now() + limit, cache::WriteBack::OnError::keep_trying);
  telling.cancel();
  co_await telling.join();
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return "{}";
}

// {"do":"mount", "root": ..., "mountpoint": ..., "options": "ro,...", "stay": true}: with "stay"
// the answer comes when it is not mounted any more.
Task<Result<std::string>> Daemon::mount(std::string request,
                                        cli::ControlServer::Progress progress) {
  const auto words = parsed(request);
  MountRequest what{
      .root = text_of(words, "root"), .mountpoint = text_of(words, "mountpoint"), .words = {}};
  CO_TRY(options, parse_mount_words(text_of(words, "options")));
  what.words = std::move(options);
  CO_TRY(mountpoint, co_await mounts_->start(std::move(what)));
  json::object answer{{"mountpoint", mountpoint}, {"pid", ::getpid()}};
  const auto* stay = words.if_contains("stay");
  if (stay && stay->is_bool() && stay->get_bool()) {
    co_await progress(json::serialize(answer));
    CO_TRY_DO(co_await mounts_->ended(mountpoint));
  }
  co_return json::serialize(answer);
}

}  // namespace lafs
