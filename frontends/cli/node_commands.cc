// SPDX-License-Identifier: Apache-2.0

// lafs create-node, lafs status: a node directory, and the grid that it belongs to.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "frontends/cli/daemon_commands.h"
#include "frontends/cli/output.h"
#include "frontends/cli/session.h"
#include "grid/known_server.h"
#include "grid/node_dir/files.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

struct CreateOptions {
  std::string servers;
  std::vector<std::string> introducers;
  std::string shares = "3,7,10";
  std::string nickname = "lafs";
  bool no_root = false;
  bool json = false;
};

Task<Result<grid::Cap>> found_and_made(Session& session) {
  CO_TRY_DO(co_await session.find_servers());
  co_return co_await session.client().create_directory();
}

Task<Result<std::string>> make_root(Io io, grid::NodeDir node) {
  CO_TRY(session, Session::open(io, std::move(node)));
  Result<grid::Cap> cap = co_await found_and_made(*session);
  co_await session->close();
  if (!cap) co_return std::unexpected(std::move(cap.error()));
  co_return cap->text();
}

Task<Result<Exit>> create_node(Io io, const Globals& globals, const CreateOptions& options) {
  grid::NodeDir::Creation what;
  CO_TRY(shares, grid::ShareCounts::parse(options.shares));
  what.shares = shares;
  what.nickname = options.nickname;
  what.introducers = options.introducers;
  if (!options.servers.empty()) {
    auto text = grid::read_small_file(options.servers);
    if (!text) co_return std::unexpected(std::move(text.error()));
    auto checked = grid::parse_servers(*text, options.servers);
    if (!checked) co_return std::unexpected(std::move(checked.error()));
    if (checked->servers.size() < shares.happy) {
      std::fprintf(stderr,
                   "lafs: create-node: %s names %zu servers, but an upload needs %u (--shares); it "
                   "will fail\n",
                   options.servers.c_str(), checked->servers.size(), shares.happy);
    }
    what.servers = std::move(*text);
  }
  const auto path = globals.node_path();
  auto made = grid::NodeDir::create(path, what);
  if (!made && made.error().code == Errc::exists) {
    // A first try may have stopped before it had a root: then this one goes on.
    CO_TRY(there, grid::NodeDir::open(path));
    CO_TRY(aliases, there.aliases());
    if (options.no_root || aliases.contains("tahoe")) co_return std::unexpected(made.error());
    made = std::move(there);
  }
  if (!made) co_return std::unexpected(std::move(made.error()));
  const bool root = !options.no_root && (!options.servers.empty() || !options.introducers.empty());
  if (root) {
    auto cap = co_await make_root(io, *made);
    if (!cap) {
      co_return annotate(std::move(cap.error()), path.string() +
                                                     " is made, but its root directory "
                                                     "could not be (run create-node "
                                                     "again)");
    }
    CO_TRY_DO(made->add_alias("tahoe", *cap));
  }
  if (options.json) {
    print(json::serialize(json::object{{"node", path.string()}, {"root", root}}) + "\n");
  } else {
    print("node directory " + path.string() + (root ? ", root directory tahoe:" : "") + "\n");
  }
  co_return Exit::ok;
}

struct ServerState {
  Result<grid::storage::ServerVersion> version = fail(Errc::unreachable);
  Duration latency{};
};

Task<> ask(grid::storage::Server& server, std::string name, ServerState& out) {
  const auto begin = Clock::now();
  out.version = co_await within(8s, std::move(name), server.version());
  out.latency = Clock::now() - begin;
}

// What there is to say about a server besides whether it answers: by a key for programs.
std::vector<std::pair<const char*, std::string>> remarks_about(
    const grid::storage::KnownServer& server) {
  std::vector<std::pair<const char*, std::string>> out;
  if (!server.notice.empty()) out.emplace_back("notice", server.notice);
  if (!server.manager_notice.empty())
    out.emplace_back("manager_notice", "the grid manager says: " + server.manager_notice);
  if (server.only_read) out.emplace_back("use", "only read from (private/servers.yaml)");
  if (auto remark = grid::certificate_remark(server, std::chrono::system_clock::now()))
    out.emplace_back("certificate", std::move(remark->text));
  return out;
}

Task<Result<Exit>> status(Session& session, bool as_json);

// Again and again, until a signal comes.
Task<Result<Exit>> watch(Session& session, bool as_json) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1 && !as_json;
  for (;;) {
    if (terminal) print("\033[H\033[2J");
    CO_TRY_DO(co_await status(session, as_json));
    CO_TRY_DO(finish_output());
    co_await sleep_for(1s);
    const bool stop = co_await stop_requested();
    if (stop) co_return Exit::ok;
  }
}

// Exit::ok when an upload has enough servers, Exit::grid otherwise.
Task<Result<Exit>> status(Session& session, bool as_json) {
  // As they are now: some may come and go while we ask.
  const std::vector<grid::storage::KnownServer> servers(session.roster().all().begin(),
                                                        session.roster().all().end());
  std::vector<ServerState> states(servers.size());
  TaskGroup asking(session.io().executor);
  for (std::size_t i = 0; i < servers.size(); ++i) {
    asking.spawn(ask(*servers[i].server, servers[i].name(), states[i]));
  }
  co_await asking.join();
  CO_TRY(daemon, co_await daemon_status(session.node().path()));
  const auto& shares = session.node().shares();
  std::size_t up = 0;
  std::vector<std::uint64_t> available;
  json::array list;
  std::vector<std::string> remarks;
  std::vector<std::vector<std::string>> rows{{"SERVER", "STATE", "REPLY", "FREE", "VERSION"}};
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const auto& s = states[i];
    const double ms = std::chrono::duration<double, std::milli>(s.latency).count();
    json::object one{{"id", servers[i].id}, {"nickname", servers[i].nickname}};
    one["up"] = s.version.has_value();
    if (s.version) {
      ++up;
      available.push_back(s.version->available_space);
      one["milliseconds"] = ms;
      one["available_space"] = s.version->available_space;
      one["version"] = s.version->application_version;
      rows.push_back(
          {printable(servers[i].name()), "up", std::to_string(static_cast<int>(ms + 0.5)) + " ms",
           human_size(s.version->available_space), printable(s.version->application_version)});
    } else {
      one["error"] = name_of(s.version.error().code);
      rows.push_back({printable(servers[i].name()), std::string(describe(s.version.error().code)),
                      "-", "-", "-"});
    }
    for (auto& [key, text] : remarks_about(servers[i])) {
      one[key] = text;
      remarks.push_back(printable(servers[i].name()) + ": " + printable(text));
    }
    list.push_back(std::move(one));
  }
  json::array introducers;
  for (const auto& from : session.membership().introducers()) {
    introducers.push_back(json::object{{"name", from.petname},
                                       {"connected", from.connected},
                                       {"announcements", from.heard},
                                       {"error", from.why}});
  }
  const auto space = grid::usable_space(available, session.client().options().encoding);
  const bool enough = up >= shares.happy;
  if (as_json) {
    json::array skipped;
    for (const auto& why : session.skipped_servers()) skipped.push_back(json::string(why));
    print(json::serialize(json::object{{"node", session.node().path().string()},
                                       {"shares", json::object{{"needed", shares.needed},
                                                               {"happy", shares.happy},
                                                               {"total", shares.total}}},
                                       {"servers", std::move(list)},
                                       {"introducers", std::move(introducers)},
                                       {"skipped", std::move(skipped)},
                                       {"servers_up", up},
                                       {"usable_space", space},
                                       {"can_upload", enough},
                                       {"daemon", daemon ? json::parse(*daemon) : json::value()}}) +
          "\n");
  } else {
    print("node   " + session.node().path().string() + "\n");
    print("shares any " + std::to_string(shares.needed) + " of " + std::to_string(shares.total) +
          " give a file back; uploads need " + std::to_string(shares.happy) + " servers\n");
    print("space  " + human_size(space) + " of files\n");
    if (daemon) print(daemon_status_text(*daemon));
    print("\n");
    print(format_table(rows, {2, 3}));
    for (const auto& remark : remarks) print(remark + "\n");
    for (const auto& from : session.membership().introducers()) {
      print("introducer " + printable(from.petname) + ": " +
            (from.connected ? "connected" : printable(from.why)) + "\n");
    }
    for (const auto& why : session.skipped_servers()) print("left out: " + printable(why) + "\n");
    if (!enough) {
      print("\n" + std::to_string(up) + " servers answer: too few for uploads" +
            (up < shares.needed ? ", and for reading" : "") + "\n");
    }
  }
  co_return enough ? Exit::ok : Exit::grid;
}

}  // namespace

void add_node_commands(Commands& commands) {
  auto* creating = commands.add("create-node", "Make a node directory for a grid");
  auto create = std::make_shared<CreateOptions>();
  creating
      ->add_option("--grid", create->servers,
                   "The grid's servers.yaml (Tahoe's static servers); it is copied")
      ->type_name("FILE");
  creating
      ->add_option("--introducer", create->introducers,
                   "Where the grid's servers announce themselves; may be repeated")
      ->type_name("FURL");
  creating
      ->add_option("--shares", create->shares,
                   "Shares needed to read, servers needed to write, shares made of each file")
      ->type_name("K,H,N")
      ->capture_default_str();
  creating->add_option("--nickname", create->nickname, "What others call this node")
      ->capture_default_str();
  creating->add_flag("--no-root", create->no_root, "Make no root directory (alias tahoe:)");
  creating->add_flag("--json", create->json, "Print one JSON object");
  commands.on_io(creating, [&commands, create](Io io) {
    return create_node(io, commands.globals(), *create);
  });

  auto* asking = commands.add(
      "status", "Say which servers answer, what there is room for, and what is on its way");
  auto as_json = std::make_shared<bool>(false);
  auto again = std::make_shared<bool>(false);
  asking->add_flag("--json", *as_json, "Print one JSON object");
  asking->add_flag("--watch", *again, "Every second, until interrupted");
  commands.on_io(asking, [&commands, as_json, again](Io io) {
    return with_session(io, commands.globals(), [as_json, again](Session& session) {
      return *again ? watch(session, *as_json) : status(session, *as_json);
    });
  });
}

}  // namespace lafs::cli
