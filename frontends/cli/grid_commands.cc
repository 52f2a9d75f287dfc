// SPDX-License-Identifier: Apache-2.0

// lafs grid start|status|stop: storage servers on this machine, for trying and testing.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "frontends/cli/commands.h"
#include "frontends/cli/local_grid.h"
#include "frontends/cli/output.h"
#include "grid/known_server.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

struct GridOptions {
  std::string directory;
  unsigned servers = 0;  // 0: as many as there are, else 5
  std::vector<unsigned> only;
  bool json = false;
};

// What one server says now.
struct Answer {
  std::optional<pid_t> pid;
  Result<grid::storage::ServerVersion> version = fail(Errc::unreachable);
};

Task<Result<grid::storage::ServerVersion>> ask(asio::any_io_executor executor,
                                               grid::ServerEntry entry, Duration limit) {
  CO_TRY(known, grid::known_server(entry, executor));
  auto version = co_await within(limit, entry.nickname, known.server->version());
  co_await known.server->close();
  co_return version;
}

Task<> ask_into(asio::any_io_executor executor, const LocalGrid::Member& member, Answer& out) {
  auto pid = server_process(member.node);
  if (!pid) {
    out.version = std::unexpected(pid.error());
    co_return;
  }
  out.pid = *pid;
  if (out.pid) out.version = co_await ask(executor, member.announcement, 5s);
}

// Until it answers with its own key and secret, its process has ended, or time is up.
Task<> await_answer(asio::any_io_executor executor, const LocalGrid::Member& member, pid_t started,
                    Result<>& out) {
  const auto deadline = Clock::now() + 30s;
  while (true) {
    auto version = co_await ask(executor, member.announcement, 5s);
    if (version) co_return;
    const bool stop = co_await stop_requested();
    const bool died = started > 0 && ::waitpid(started, nullptr, WNOHANG) != 0;
    if (died || stop || Clock::now() > deadline) {
      const auto why = died ? LocalGrid::last_words(member.node) : version.error().message();
      out = fail(died ? Errc::unreachable : version.error().code,
                 member.announcement.nickname + " does not answer (" + why + "); see " +
                     (member.node / "log").string());
      co_return;
    }
    co_await sleep_for(30ms);
  }
}

// Whether somebody listens there. On this machine the answer comes at once.
bool listens(const grid::Endpoint& at) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(at.port);
  if (::inet_pton(AF_INET, at.host.c_str(), &address.sin_addr) != 1) return false;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool there =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return there;
}

// Starts the introducer unless it runs, and waits until it listens.
Task<Result<>> start_introducer(const LocalGrid& local) {
  CO_TRY(running, server_process(local.introducer()));
  pid_t started = 0;
  if (!running) {
    CO_TRY(pid, local.start_introducer());
    started = pid;
  }
  const auto deadline = Clock::now() + 30s;
  while (!listens(local.introducer_address())) {
    const bool stop = co_await stop_requested();
    const bool died = started > 0 && ::waitpid(started, nullptr, WNOHANG) != 0;
    if (died || stop || Clock::now() > deadline) {
      co_return fail(Errc::unreachable, "the introducer does not answer (" +
                                            LocalGrid::last_words(local.introducer()) + "); see " +
                                            (local.introducer() / "log").string());
    }
    co_await sleep_for(20ms);
  }
  co_return Result<>{};
}

Result<std::vector<LocalGrid::Member>> chosen(const LocalGrid& local,
                                              const std::vector<unsigned>& only) {
  if (only.empty()) return local.members();
  std::vector<LocalGrid::Member> out;
  for (const auto number : only) {
    const auto found = std::ranges::find(local.members(), number, &LocalGrid::Member::number);
    if (found == local.members().end()) {
      return fail(Errc::not_found, "there is no server " + std::to_string(number));
    }
    out.push_back(*found);
  }
  return out;
}

Task<Result<Exit>> start(Io io, const GridOptions& options) {
  LocalGrid local(options.directory);
  auto there = local.load();
  if (!there && there.error().code != Errc::not_found) co_return std::unexpected(there.error());
  const unsigned otherwise = there ? local.members().back().number : 5;
  CO_TRY_DO(local.prepare(options.servers ? options.servers : otherwise));
  CO_TRY(members, chosen(local, options.only));
  if (options.servers && options.only.empty()) {
    std::erase_if(members, [&](const auto& m) { return m.number > options.servers; });
  }

  if (options.only.empty()) CO_TRY_DO(co_await start_introducer(local));

  std::vector<Result<>> outcomes(members.size());
  unsigned started = 0;
  TaskGroup waiting(io.executor);
  for (std::size_t i = 0; i < members.size(); ++i) {
    auto running = server_process(members[i].node);
    if (running && *running) {
      waiting.spawn(await_answer(io.executor, members[i], 0, outcomes[i]));
      continue;
    }
    Result<pid_t> pid = running ? local.start(members[i]) : std::unexpected(running.error());
    if (!pid) {
      outcomes[i] = std::unexpected(pid.error());
      continue;
    }
    ++started;
    waiting.spawn(await_answer(io.executor, members[i], *pid, outcomes[i]));
  }
  co_await waiting.join();
  for (auto& outcome : outcomes) CO_TRY_DO(std::move(outcome));
  if (options.json) {
    json::object out{{"servers", members.size()},
                     {"started", started},
                     {"servers_yaml", local.servers_yaml().string()},
                     {"introducers_yaml", local.introducers_yaml().string()}};
    print(json::serialize(out) + "\n");
  } else {
    print(std::to_string(members.size()) + " storage servers answer (" + std::to_string(started) +
          " started now); " + local.servers_yaml().string() + " names them\n");
  }
  co_return Exit::ok;
}

std::string state_of(const Answer& answer) {
  if (!answer.pid) return "down";
  return answer.version ? "up" : "does not answer";
}

std::string address_of(const grid::ServerEntry& entry) {
  for (const auto& at : grid::endpoints_of(entry)) return at.host + ":" + std::to_string(at.port);
  return "";
}

Task<Result<Exit>> status(Io io, const GridOptions& options) {
  LocalGrid local(options.directory);
  CO_TRY_DO(local.load());
  CO_TRY(members, chosen(local, options.only));
  std::vector<Answer> answers(members.size());
  TaskGroup asking(io.executor);
  for (std::size_t i = 0; i < members.size(); ++i) {
    asking.spawn(ask_into(io.executor, members[i], answers[i]));
  }
  co_await asking.join();
  json::array list;
  std::vector<std::vector<std::string>> rows{
      {"SERVER", "STATE", "PID", "ADDRESS", "FREE", "DIRECTORY"}};
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto& m = members[i];
    const auto& a = answers[i];
    const auto pid = a.pid ? json::value(*a.pid) : json::value(nullptr);
    const auto free = a.version ? json::value(a.version->available_space) : json::value(nullptr);
    list.push_back(json::object{{"number", m.number},
                                {"nickname", m.announcement.nickname},
                                {"id", m.announcement.id},
                                {"state", state_of(a)},
                                {"pid", pid},
                                {"address", address_of(m.announcement)},
                                {"available_space", free},
                                {"directory", m.node.string()}});
    rows.push_back({m.announcement.nickname, state_of(a), a.pid ? std::to_string(*a.pid) : "-",
                    address_of(m.announcement),
                    a.version ? human_size(a.version->available_space) : "-", m.node.string()});
  }
  auto introducer_pid = server_process(local.introducer());
  const bool introducer_up =
      introducer_pid && *introducer_pid && listens(local.introducer_address());
  if (options.json) {
    json::object out{{"servers", list}, {"servers_yaml", local.servers_yaml().string()}};
    out["introducer"] = json::object{{"state", introducer_up ? "up" : "down"},
                                     {"directory", local.introducer().string()}};
    print(json::serialize(out) + "\n");
  } else {
    if (options.only.empty()) {
      const auto& at = local.introducer_address();
      rows.push_back({"introducer", introducer_up ? "up" : "down",
                      introducer_up ? std::to_string(**introducer_pid) : "-",
                      at.port ? at.host + ":" + std::to_string(at.port) : "-", "-",
                      local.introducer().string()});
    }
    print(format_table(rows, {2, 4}));
  }
  co_return Exit::ok;
}

Result<Exit> stop(const GridOptions& options) {
  LocalGrid local(options.directory);
  TRY_DO(local.load());
  TRY(members, chosen(local, options.only));
  json::array stopped;
  Result<> outcome;
  for (const auto& member : members) {
    auto was_up = LocalGrid::stop(member.node, 10s);
    if (!was_up) outcome = std::unexpected(was_up.error());
    if (was_up && *was_up) stopped.push_back(member.number);
  }
  if (options.only.empty()) {
    auto was_up = LocalGrid::stop(local.introducer(), 10s);
    if (!was_up) outcome = std::unexpected(was_up.error());
  }
  if (!outcome) return std::unexpected(outcome.error());
  if (options.json) {
    print(json::serialize(json::object{{"stopped", stopped}}) + "\n");
  } else {
    print(std::to_string(stopped.size()) + " storage servers stopped\n");
  }
  return Exit::ok;
}

std::shared_ptr<GridOptions> common(CLI::App* command) {
  auto options = std::make_shared<GridOptions>();
  command->add_option("--dir", options->directory, "Where the servers live")
      ->type_name("DIR")
      ->required();
  command->add_option("--server", options->only, "Only this one (1, 2, ...); may be repeated")
      ->type_name("NUMBER");
  command->add_flag("--json", options->json, "Print one JSON object");
  return options;
}

}  // namespace

void add_grid_commands(Commands& commands) {
  auto* starting = commands.add("grid start", "Start storage servers on this machine");
  auto start_options = common(starting);
  starting
      ->add_option("--servers", start_options->servers, "How many (default: all there are, or 5)")
      ->type_name("N")
      ->check(CLI::Range(1u, 100u));
  commands.on_io(starting, [start_options](Io io) { return start(io, *start_options); });

  auto* asking = commands.add("grid status", "Say which of them run and answer");
  auto status_options = common(asking);
  commands.on_io(asking, [status_options](Io io) { return status(io, *status_options); });

  auto* stopping = commands.add("grid stop", "Stop them");
  auto stop_options = common(stopping);
  commands.on(stopping, [stop_options] { return stop(*stop_options); });
}

}  // namespace lafs::cli
