// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/diagnosis.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>

#include "frontends/cli/daemon_commands.h"
#include "frontends/cli/output.h"
#include "grid/known_server.h"
#include "grid/node_dir/rights.h"
#include "grid/storage_node.h"

namespace lafs::cli {

namespace {

using namespace std::chrono_literals;
using Verdict = Finding::Verdict;

constexpr std::uint64_t little_room = 1u << 30;
constexpr auto slow_server = 1s;
constexpr std::chrono::seconds clocks_may_differ = 5min;

bool in_path(const char* program) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    const auto folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    if (::access((std::string(folder) + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Finding examine_fuse() {
  if (::access("/dev/fuse", F_OK) != 0) {
    return {
        Verdict::warning, "FUSE", "there is no /dev/fuse",
        "mounting is not possible here: load the module fuse (modprobe fuse), or use lafs serve "
        "sftp; in a container, pass the device in"};
  }
  if (::access("/dev/fuse", R_OK | W_OK) != 0) {
    return {Verdict::problem, "FUSE", "/dev/fuse may not be opened by this user",
            "mount as root, or ask for rights on /dev/fuse"};
  }
  if (::geteuid() != 0 && !in_path("fusermount3")) {
    return {Verdict::problem, "FUSE", "there is no fusermount3",
            "install it (package fuse3): users other than root mount through it"};
  }
  return {Verdict::good, "FUSE", "/dev/fuse can be used", {}};
}

Finding examine_clock() {
  const auto now = std::chrono::system_clock::now();
  constexpr auto sane = std::chrono::sys_days(std::chrono::year(2025) / 1 / 1);
  if (now < sane) {
    return {Verdict::problem, "clock", "the clock is before 2025",
            "set it: leases, times of files and conflict names rest on it"};
  }
  timex state{};
  if (::adjtimex(&state) == TIME_ERROR || (state.status & STA_UNSYNC)) {
    return {Verdict::warning, "clock", "nobody keeps the clock right",
            "start a time service (e.g. systemd-timesyncd): leases and times of files rest on it"};
  }
  return {Verdict::good, "clock", "kept right by a time service", {}};
}

Finding examine_limits() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max < 4096) {
    return {Verdict::warning, "open files", "at most " + std::to_string(files.rlim_max),
            "raise the limit (ulimit -n, or LimitNOFILE= in the unit) to 4096 or more"};
  }
  return {Verdict::good, "open files", "up to " + std::to_string(files.rlim_max), {}};
}

std::string how_long(std::chrono::seconds span) {
  if (span < 2h) return std::to_string(span / 1min) + " minutes";
  if (span < 48h) return std::to_string(span / 1h) + " hours";
  return std::to_string(span / 24h) + " days";
}

// What the cache put aside (docs/CACHE.md): somebody should look at it, and nobody else says so.
Finding examine_cache(const grid::NodeDir& node) {
  namespace stdfs = std::filesystem;
  std::size_t rescued = 0, damaged = 0;
  std::error_code error;
  for (stdfs::recursive_directory_iterator i(node.private_path("drive"), error), end;
       !error && i != end; i.increment(error)) {
    rescued += i->path().parent_path().filename() == "rescued";
    damaged += i->path().filename().string().find(".damaged-") != std::string::npos;
  }
  if (rescued > 0) {
    return {Verdict::warning, "cache",
            std::to_string(rescued) + " files were set aside: what knew their names was damaged",
            "lafs rescue DIR writes them out"};
  }
  if (damaged > 0) {
    return {Verdict::warning, "cache",
            std::to_string(damaged) + " damaged files are kept in private/drive",
            "the disk may be failing; see the log of that day, and remove them when nothing is "
            "missed"};
  }
  return {Verdict::good, "cache", "nothing in it is damaged", {}};
}

// What a running daemon cannot bring to the grid.
std::optional<Finding> examine_queue(const std::string& daemon) {
  boost::system::error_code error;
  const auto status = boost::json::parse(daemon, error);
  const auto* stuck = error ? nullptr : status.find_pointer("/queue/stuck", error);
  if (!stuck || !stuck->is_int64() || stuck->get_int64() == 0) return std::nullopt;
  return Finding{Verdict::warning, "queue",
                 std::to_string(stuck->get_int64()) + " changes could not reach the grid yet",
                 "lafs status says which and why; they are tried again, at once by lafs flush"};
}

struct Asked {
  Result<grid::storage::ServerVersion> version = fail(Errc::unreachable);
  Duration latency{};
  std::optional<std::chrono::seconds> clock_ahead = {};  // of ours
};

Task<> ask(const grid::storage::KnownServer& known, Asked& out) {
  const auto begin = Clock::now();
  out.version = co_await within(8s, known.name(), known.server->version());
  out.latency = Clock::now() - begin;
  out.clock_ahead = grid::clock_ahead(known);
}

// What the servers' clocks say about ours. One that differs from the others is that server's
// trouble; when most of them differ alike, it is ours.
std::optional<Finding> compare_clocks(const std::vector<Asked>& asked) {
  std::vector<std::chrono::seconds> ahead;
  for (const auto& one : asked) {
    if (one.clock_ahead) ahead.push_back(*one.clock_ahead);
  }
  if (ahead.empty()) return std::nullopt;
  const auto middle = ahead.begin() + static_cast<std::ptrdiff_t>(ahead.size() / 2);
  std::ranges::nth_element(ahead, middle);
  const auto off = std::chrono::abs(*middle);
  if (off < clocks_may_differ)
    return Finding{Verdict::good, "clock", "agrees with the servers' clocks", {}};
  return Finding{
      Verdict::problem, "clock",
      how_long(off) + (middle->count() > 0 ? " behind" : " ahead of") + " the servers' clocks",
      "set it: leases, times of files and conflict names rest on it"};
}

std::string advice_for(Errc code) {
  switch (code) {
    case Errc::wrong_certificate:
      return "somebody else answers at its address, or it has a new key: ask its operator";
    case Errc::unauthorized:
      return "its address is out of date: get a new servers.yaml, or wait for its announcement";
    case Errc::timed_out:
      return "it is overloaded, or a firewall swallows what we send";
    case Errc::protocol:
      return "something that is no storage server answers at its address";
    default:
      return "it is down, or its address cannot be reached from here";
  }
}

Finding judge(const grid::storage::KnownServer& known, const Asked& asked) {
  const auto subject = "server " + printable(known.name());
  if (!asked.version) {
    return {Verdict::warning, subject, printable(asked.version.error().message()),
            advice_for(asked.version.error().code)};
  }
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(asked.latency).count();
  const auto seen = "answers in " + std::to_string(ms) + " ms, " +
                    human_size(asked.version->available_space) + " free";
  if (known.only_read)
    return {Verdict::good, subject, seen + "; only read from, as you want it", {}};
  const auto certificate = grid::certificate_remark(known, std::chrono::system_clock::now());
  if (certificate && certificate->warning) {
    return {Verdict::warning, subject, seen + "; " + certificate->text,
            "ask the grid manager for a new certificate"};
  }
  if (asked.clock_ahead && std::chrono::abs(*asked.clock_ahead) >= clocks_may_differ) {
    return {Verdict::warning, subject,
            seen + "; its clock is " + how_long(std::chrono::abs(*asked.clock_ahead)) +
                (asked.clock_ahead->count() > 0 ? " ahead of ours" : " behind ours"),
            "leases are judged by it: one of the two is wrong"};
  }
  if (asked.version->available_space == 0)
    return {Verdict::warning, subject, seen, "it is full or read-only: it gets no new files"};
  if (asked.latency > slow_server)
    return {Verdict::warning, subject, seen, "it is slow; reading goes to others where it can"};
  return {Verdict::good, subject, seen, {}};
}

}  // namespace

std::string without_secrets(const std::string& value) {
  if (value.find("pb://") == value.npos) return value;
  const auto slash = value.rfind('/');
  return value.substr(0, slash + 1) + "...";
}

std::vector<std::string> complaints_about(const grid::NodeDir& node) {
  std::vector<std::string> out;
  for (const auto& entry : node.config().entries()) {
    if (entry.complaint.empty()) continue;
    const bool placed = entry.complaint.starts_with(entry.where);
    out.push_back(placed ? entry.complaint : entry.where + ": " + entry.complaint);
  }
  const auto look = [&](const auto& result) {
    if (!result) out.push_back(result.error().message());
  };
  look(node.introducers());
  look(node.grid_managers());
  look(node.aliases());
  auto servers = node.servers();
  look(servers);
  if (servers) out.insert(out.end(), servers->skipped.begin(), servers->skipped.end());
  if (node.storage().enabled) look(grid::configured_places(node));
  for (auto& complaint : grid::complaints_about_rights(node.path()))
    out.push_back(std::move(complaint));
  return out;
}

std::vector<Finding> examine_machine() {
  return {examine_fuse(), examine_clock(), examine_limits()};
}

std::vector<Finding> examine_node(const grid::NodeDir& node) {
  std::vector<Finding> out;
  for (auto& complaint : complaints_about(node))
    out.push_back({Verdict::problem, "node directory", printable(complaint), "correct that line"});
  if (out.empty()) {
    out.push_back({Verdict::good, "node directory", node.path().string() + " is in order", {}});
  }
  struct statvfs disk{};
  if (::statvfs(node.path().c_str(), &disk) == 0) {
    const auto room = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    const bool little = room < little_room;
    out.push_back({little ? Verdict::warning : Verdict::good, "disk",
                   human_size(room) + " free where the cache is",
                   little ? "make room: what is written waits there until it is on the grid" : ""});
  }
  out.push_back(examine_cache(node));
  if (::access(node.path().c_str(), W_OK) != 0) {
    out.push_back({Verdict::problem, "node directory", "cannot be written by this user",
                   "run lafs as its owner"});
  }
  return out;
}

Task<std::vector<Finding>> examine_grid(Session& session) {
  std::vector<Finding> out;
  // As they are now: some may come and go while we ask.
  const std::vector<grid::storage::KnownServer> servers(session.roster().all().begin(),
                                                        session.roster().all().end());
  std::vector<Asked> asked(servers.size());
  TaskGroup asking(session.io().executor);
  for (std::size_t i = 0; i < servers.size(); ++i) asking.spawn(ask(servers[i], asked[i]));
  co_await asking.join();
  std::size_t up = 0, taking = 0;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    out.push_back(judge(servers[i], asked[i]));
    up += asked[i].version.has_value();
    taking += asked[i].version && asked[i].version->available_space > 0;
  }
  auto daemon = co_await daemon_status(session.node().path());
  if (daemon && *daemon) {
    if (auto queue = examine_queue(**daemon)) out.push_back(std::move(*queue));
  }
  if (auto clocks = compare_clocks(asked)) out.push_back(std::move(*clocks));
  co_await session.membership().ask_introducers(8s);
  for (const auto& one : session.membership().introducers()) {
    Finding finding;
    finding.subject = "introducer " + printable(one.petname);
    finding.what = one.connected ? "connected, " + std::to_string(one.heard) + " announcements"
                                 : printable(one.why);
    if (!one.connected) {
      finding.verdict = Verdict::warning;
      finding.advice = "what it said before is remembered; new servers are not heard of";
    }
    out.push_back(std::move(finding));
  }
  const auto& shares = session.node().shares();
  Finding sum;
  sum.subject = "grid";
  sum.what = std::to_string(up) + " of " + std::to_string(servers.size()) + " servers answer, " +
             std::to_string(taking) + " take new files";
  if (up < shares.needed) {
    sum.verdict = Verdict::problem;
    sum.advice = "reading needs " + std::to_string(shares.needed) + " servers";
  } else if (taking < shares.happy) {
    sum.verdict = Verdict::problem;
    sum.advice = "an upload needs " + std::to_string(shares.happy) +
                 " servers with room; find more, or lower shares.happy";
  }
  out.push_back(std::move(sum));
  co_return out;
}

}  // namespace lafs::cli
