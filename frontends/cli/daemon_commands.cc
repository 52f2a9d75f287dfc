// SPDX-License-Identifier: Apache-2.0

// lafs flush, and the parts of lafs status and lafs umount that speak with the daemon.

#include "frontends/cli/daemon_commands.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "frontends/cli/commands.h"
#include "frontends/cli/control_client.h"
#include "frontends/cli/output.h"
#include "frontends/cli/progress.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr auto patience = 10s;        // for what is answered at once
constexpr ino_t mount_root = 1;       // of every FUSE mount: below it is everything
constexpr auto for_ever = 24h * 365;  // a flush without a limit
constexpr std::size_t items_shown = 20;

std::uint64_t count(const json::object& from, const char* key) {
  const auto* value = from.if_contains(key);
  boost::system::error_code bad;
  const auto number = value ? value->to_number<std::uint64_t>(bad) : 0;
  return bad ? 0 : number;
}

std::string text(const json::object& from, const char* key) {
  const auto* value = from.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::object* object(const json::object& from, const char* key) {
  const auto* value = from.if_contains(key);
  return value ? value->if_object() : nullptr;
}

std::string duration_text(std::uint64_t seconds) {
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3600) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds / 3600) + " h";
}

std::string queue_text(const json::object& queue) {
  const auto files = count(queue, "files"), directories = count(queue, "directories");
  if (files == 0 && directories == 0) return "queue  empty: everything is on the grid\n";
  std::string out = "queue  " + std::to_string(files) + " files (" +
                    human_size(count(queue, "bytes")) + ") and " + std::to_string(directories) +
                    " directories on their way";
  if (const auto speed = count(queue, "bytes_per_second")) out += ", " + human_size(speed) + "/s";
  const auto* eta = queue.if_contains("eta_seconds");
  if (eta && eta->is_number()) out += ", about " + duration_text(count(queue, "eta_seconds"));
  out += "\n";
  const auto* items = queue.if_contains("items");
  if (!items || !items->is_array()) return out;
  std::vector<std::vector<std::string>> rows;
  for (const auto& item : items->get_array()) {
    if (!item.is_object() || rows.size() == items_shown) break;
    const auto& one = item.get_object();
    const auto error = text(one, "error");
    rows.push_back(
        {"  " + text(one, "state"), printable(text(one, "path")),
         text(one, "what") == "content" ? human_size(count(one, "bytes")) : text(one, "what"),
         error.empty() ? "" : printable(error)});
  }
  out += format_table(rows, {2});
  return out;
}

// Once, for those who have no terminal to show a bar on.
std::string waiting_text(const json::object& progress) {
  return "lafs: waiting until " + std::to_string(count(progress, "files")) + " files (" +
         human_size(count(progress, "bytes")) + ") and " +
         std::to_string(count(progress, "directories")) + " directories are on the grid\n";
}

}  // namespace

Task<Result<std::optional<std::string>>> daemon_status(std::filesystem::path node) {
  auto answer = co_await ask_daemon(std::move(node), R"({"do":"status"})", patience);
  if (answer) co_return std::optional(std::move(*answer));
  if (answer.error().code == Errc::not_found) co_return std::optional<std::string>();
  co_return std::unexpected(std::move(answer.error()));
}

std::string daemon_status_text(const std::string& status) {
  const auto value = json::parse(status);
  const auto& all = value.get_object();
  std::string out = "daemon process " + std::to_string(count(all, "pid")) + ", up " +
                    duration_text(count(all, "seconds")) + "\n";
  if (const auto* services = all.if_contains("services"); services && services->is_array()) {
    for (const auto& one : services->get_array()) {
      if (!one.is_object()) continue;
      const auto& service = one.get_object();
      const auto name = text(service, "name");
      // Mounts are listed as such, unless they do not come about.
      const auto* serving = service.if_contains("serving");
      const bool up = serving && serving->is_bool() && serving->get_bool();
      if (up && name.starts_with("mount ")) continue;
      out += "part   " + printable(name) + ": ";
      const auto error = text(service, "error");
      if (up) {
        out += "serving" + (text(service, "where").empty() ? "" : " at " + text(service, "where"));
      } else {
        out += error.empty() ? "starting" : "down: " + printable(error);
      }
      if (const auto failures = count(service, "failures"))
        out += " (started again " + std::to_string(failures) + " times)";
      out += "\n";
    }
  }
  if (const auto* mounts = all.if_contains("mounts"); mounts && mounts->is_array()) {
    for (const auto& one : mounts->get_array()) {
      if (!one.is_object()) continue;
      out += "mount  " + printable(text(one.get_object(), "root")) + " at " +
             printable(text(one.get_object(), "mountpoint")) + "\n";
    }
  }
  if (const auto* queue = object(all, "queue")) {
    out += queue_text(*queue);
    const auto* warnings = queue->if_contains("warnings");
    if (warnings && warnings->is_array())
      for (const auto& warning : warnings->get_array())
        if (warning.is_string())
          out += "warning: " + printable(std::string(warning.get_string())) + "\n";
  }
  return out;
}

Task<Result<>> flush_with_progress(std::filesystem::path node, std::uint64_t inode,
                                   std::optional<std::chrono::duration<double>> limit, bool quiet) {
  Progress bar("to the grid", !quiet);
  std::uint64_t most = 0;
  bool said = quiet || ::isatty(STDERR_FILENO);
  const auto show = [&](const std::string& line) {
    const auto value = json::parse(line);
    const auto* now = object(value.get_object(), "progress");
    if (!now) return;
    const auto left = count(*now, "bytes");
    most = std::max(most, left);
    if (!std::exchange(said, true)) std::fputs(waiting_text(*now).c_str(), stderr);
    bar.what(std::to_string(count(*now, "files")) + " files");
    bar.total(most);
    bar.at(most - left);
  };
  json::object request{{"do", "flush"}, {"inode", inode}};
  auto patience_for_it = Duration(for_ever);
  if (limit) {
    request["timeout"] = limit->count();
    patience_for_it = std::chrono::duration_cast<Duration>(*limit) + patience;
  }
  auto done = co_await ask_daemon(std::move(node), json::serialize(request), patience_for_it, show);
  if (done || done.error().code == Errc::not_found) co_return Result<>{};
  co_return std::unexpected(std::move(done.error()));
}

namespace {

struct FlushOptions {
  std::string path;
  double timeout = 0;
  bool quiet = false;
};

Task<Result<Exit>> flush(Io, const Globals& globals, const FlushOptions& options) {
  std::uint64_t inode = 0;
  if (!options.path.empty()) {
    struct stat s{};
    if (::lstat(options.path.c_str(), &s) != 0)
      co_return fail(Errc::not_found, options.path + " (a path in a mount)");
    if (s.st_ino != mount_root) inode = s.st_ino;
  }
  std::optional<std::chrono::duration<double>> limit;
  if (options.timeout > 0) limit = std::chrono::duration<double>(options.timeout);
  CO_TRY_DO(co_await flush_with_progress(globals.node_path(), inode, limit, options.quiet));
  co_return Exit::ok;
}

Task<Result<Exit>> reload(const Globals& globals, bool as_json) {
  auto answer = co_await ask_daemon(globals.node_path(), R"({"do":"reload"})", 60s);
  if (!answer && answer.error().code == Errc::not_found)
    co_return fail(Errc::not_found, "no daemon runs on " + globals.node_path().string());
  if (!answer) co_return annotate(std::move(answer.error()), "the settings stay as they are");
  if (as_json) {
    print(*answer + "\n");
  } else {
    print(printable(text(json::parse(*answer).get_object(), "what")) + "\n");
  }
  co_return Exit::ok;
}

}  // namespace

void add_daemon_commands(Commands& commands) {
  auto* reloading = commands.add(
      "reload", "Let the running daemon read its settings, servers and accounts again");
  auto as_json = std::make_shared<bool>(false);
  reloading->add_flag("--json", *as_json, "Print one JSON object");
  commands.on_io(reloading,
                 [&commands, as_json](Io) { return reload(commands.globals(), *as_json); });

  auto* command = commands.add("flush", "Wait until what was written is on the grid");
  auto options = std::make_shared<FlushOptions>();
  command->add_option("PATH", options->path, "Only this, in a mount (default: everything)");
  command->add_option("--timeout", options->timeout, "Give up after so many seconds")
      ->check(CLI::NonNegativeNumber)
      ->type_name("SECONDS");
  command->add_flag("-q,--quiet", options->quiet, "No progress bar");
  commands.on_io(command,
                 [&commands, options](Io io) { return flush(io, commands.globals(), *options); });
}

}  // namespace lafs::cli
