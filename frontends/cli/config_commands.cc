// SPDX-License-Identifier: Apache-2.0

// lafs config check|show, lafs node import: what a node directory says, and taking one over.

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "frontends/cli/commands.h"
#include "frontends/cli/diagnosis.h"
#include "frontends/cli/output.h"
#include "grid/node_dir.h"
#include "grid/node_dir/files.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
namespace stdfs = std::filesystem;

Result<Exit> check(const Globals& globals, bool as_json) {
  TRY(node, grid::NodeDir::open(globals.node_path()));
  const auto complaints = complaints_about(node);
  if (as_json) {
    json::array list;
    for (const auto& one : complaints) list.emplace_back(one);
    print(json::serialize(json::object{{"node", node.path().string()}, {"complaints", list}}) +
          "\n");
  } else {
    for (const auto& one : complaints) print(printable(one) + "\n");
    if (complaints.empty()) print(node.path().string() + ": nothing to complain about\n");
  }
  return complaints.empty() ? Exit::ok : Exit::config;
}

Result<Exit> show(const Globals& globals, bool as_json) {
  TRY(node, grid::NodeDir::open(globals.node_path()));
  TRY(introducers, node.introducers());
  if (as_json) {
    json::object options;
    for (const auto& entry : node.config().entries()) {
      if (entry.key.empty()) continue;
      auto& section = options[entry.section];
      if (!section.is_object()) section = json::object();
      section.as_object()[entry.key] = json::object{
          {"value", without_secrets(entry.value)}, {"where", entry.where}, {"used", entry.used}};
    }
    json::array names;
    for (const auto& one : introducers) names.emplace_back(one.petname);
    const json::object out{{"node", node.path().string()},
                           {"nickname", node.nickname()},
                           {"shares", node.shares().text()},
                           {"mutable_format", node.mutable_format()},
                           {"storage", node.storage().enabled},
                           {"introducers", names},
                           {"options", options}};
    print(json::serialize(out) + "\n");
    return Exit::ok;
  }
  std::vector<std::vector<std::string>> rows{{"OPTION", "VALUE", "FROM"}};
  for (const auto& entry : node.config().entries()) {
    if (entry.key.empty()) continue;
    rows.push_back({"[" + entry.section + "] " + entry.key, printable(without_secrets(entry.value)),
                    entry.where + (entry.used ? "" : " (means nothing to lafs)")});
  }
  for (const auto& one : introducers)
    rows.push_back({"introducer " + one.petname, printable(without_secrets(one.furl)), "private/"});
  print(format_table(rows, {}));
  return Exit::ok;
}

// Who the node is on its grid, and what its owner calls things: what a client of the same grid
// with the same files needs. Storage, keys of a running node and logs stay where they are.
constexpr std::array imported{
    "tahoe.cfg",      "private/aliases",      "private/root_dir.cap",     "private/convergence",
    "private/secret", "private/servers.yaml", "private/introducers.yaml", "private/accounts"};

Result<Exit> import(const Globals& globals, const std::string& from_text, bool as_json) {
  const stdfs::path from = from_text;
  const auto to = globals.node_path();
  TRY(source, grid::NodeDir::open(from));
  std::error_code error;
  if (stdfs::exists(to / "tahoe.cfg", error)) {
    return fail(Errc::exists, to.string() +
                                  " is a node directory already; name another one with --node, or "
                                  "use " +
                                  from.string() + " as it is: lafs --node " + from.string());
  }
  TRY_DO(grid::make_directory(to, 0700));
  TRY_DO(grid::make_directory(to / "private", 0700));
  json::array taken;
  // tahoe.cfg makes it a node directory and therefore comes last.
  for (auto i = imported.size(); i-- > 0;) {
    const std::string name = imported[i];
    auto text = grid::read_small_file(source.path() / name);
    if (!text && text.error().code == Errc::not_found) continue;
    if (!text) return std::unexpected(text.error());
    TRY_DO(grid::replace_file(to / name, *text,
                              name == "tahoe.cfg" ? grid::public_file : grid::private_file));
    taken.emplace_back(name);
  }
  for (const auto& entry : stdfs::directory_iterator(source.path() / "private", error)) {
    const auto name = entry.path().filename().string();
    if (!name.starts_with("introducer_") || !name.ends_with("_cache.yaml")) continue;
    if (auto text = grid::read_small_file(entry.path(), 64u << 20))
      TRY_DO(grid::replace_file(to / "private" / name, *text, grid::private_file));
  }
  TRY(node, grid::NodeDir::open(to));
  // Two servers of one identity would fight over their name: the copy is a client.
  const bool serves = node.storage().enabled;
  if (as_json) {
    print(json::serialize(
              json::object{{"node", to.string()}, {"files", taken}, {"storage_enabled", serves}}) +
          "\n");
  } else {
    print("node directory " + to.string() + " knows what " + from.string() + " knows\n");
    if (serves) {
      print(
          "its [storage] is enabled as over there; `lafs serve storage` would start an empty "
          "server of another name\n");
    }
  }
  return Exit::ok;
}

}  // namespace

void add_config_commands(Commands& commands) {
  auto* checking = commands.add("config check", "Say what is wrong with the node directory");
  auto check_json = std::make_shared<bool>(false);
  checking->add_flag("--json", *check_json, "Print one JSON object");
  commands.on(checking, [&commands, check_json] { return check(commands.globals(), *check_json); });

  auto* showing = commands.add("config show", "Every option in force, and where it is from");
  auto show_json = std::make_shared<bool>(false);
  showing->add_flag("--json", *show_json, "Print one JSON object");
  commands.on(showing, [&commands, show_json] { return show(commands.globals(), *show_json); });

  auto* importing =
      commands.add("node import", "Make a node directory that knows what a Tahoe node knows");
  auto from = std::make_shared<std::string>();
  auto import_json = std::make_shared<bool>(false);
  importing->add_option("DIRECTORY", *from, "The Tahoe node directory, e.g. ~/.tahoe")->required();
  importing->add_flag("--json", *import_json, "Print one JSON object");
  commands.on(importing, [&commands, from, import_json] {
    return import(commands.globals(), *from, *import_json);
  });
}

}  // namespace lafs::cli
