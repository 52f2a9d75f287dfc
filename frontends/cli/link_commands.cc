// SPDX-License-Identifier: Apache-2.0

// lafs ln and the aliases: names for caps that there are.

#include "frontends/cli/link_commands.h"

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "frontends/cli/entries.h"
#include "frontends/cli/output.h"
#include "frontends/cli/places.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;

struct Options {
  std::string from;
  std::string to;
  bool force = false;
  bool caps = false;
  bool json = false;
};

// The alias may be typed with its colon.
std::string alias_name(std::string text) {
  if (text.ends_with(':')) text.pop_back();
  return text;
}

Task<Result<Exit>> ln(Session& session, const Options& options) {
  CO_TRY(from_target, parse_grid_target(options.from));
  CO_TRY(to_target, parse_grid_target(options.to));
  CO_TRY(from, co_await existing_place(session, std::move(from_target)));
  const auto name = from.name;
  CO_TRY(to, co_await destination_place(session, std::move(to_target), name));
  if (!to.parent || to.name.empty()) {
    co_return fail(Errc::bad_argument, "give the link a name: " + to.text + "/NAME");
  }
  if (to.exists() && !options.force) {
    co_return fail(Errc::exists, to.text + "; -f replaces a file");
  }
  if (!to.parent->writable()) co_return fail(Errc::read_only, "the directory of " + to.text);
  grid::Edit::Set set;
  set.name = to.name;
  set.cap = *from.cap;
  set.overwrite = options.force ? grid::Overwrite::only_files : grid::Overwrite::never;
  if (from.child) {
    set.metadata = from.child->metadata;
    set.read_cap = from.child->read_cap;
  }
  std::vector<grid::Edit> edits;
  edits.emplace_back(std::move(set));
  auto done = co_await to.parent->apply(std::move(edits));
  if (!done) co_return annotate(std::move(done.error()), to.text);
  co_return Exit::ok;
}

Task<Result<Exit>> create_alias(Session& session, const Options& options) {
  const auto name = alias_name(options.from);
  CO_TRY_DO(grid::check_alias_name(name));
  // Before a directory is made for nothing.
  CO_TRY(there, session.node().aliases());
  if (there.contains(name)) co_return fail(Errc::exists, "alias \"" + name + ":\"");
  CO_TRY(cap, co_await session.client().create_directory());
  CO_TRY_DO(session.node().add_alias(name, cap.text()));
  co_return Exit::ok;
}

Task<Result<Exit>> add_alias(Session& session, const Options& options) {
  // A path is looked up, so that the alias does not depend on what it is called later.
  CO_TRY(target, parse_grid_target(options.to));
  CO_TRY(place, co_await existing_place(session, std::move(target)));
  if (!place.is_directory()) {
    co_return fail(Errc::not_directory, place.text + "; an alias stands for a directory");
  }
  CO_TRY_DO(session.node().add_alias(alias_name(options.from), place.cap->text()));
  co_return Exit::ok;
}

Result<Exit> list_aliases(const grid::NodeDir& node, const Options& options) {
  TRY(all, node.aliases());
  json::array array;
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, text] : all) {
    const auto cap = Cap::parse(text);
    const bool writable = cap.as<grid::MutableWriteCap>() != nullptr;
    const auto format = cap.is_unknown() ? "unknown" : format_of(cap);
    if (options.json) {
      json::object one{{"alias", name}, {"format", format}, {"writable", writable}};
      if (options.caps) one["cap"] = text;
      array.push_back(std::move(one));
      continue;
    }
    rows.push_back({name + ":", format, writable ? "writable" : "read-only"});
    if (options.caps) rows.back().push_back(text);
  }
  print(options.json ? json::serialize(array) + "\n" : format_table(rows, {}));
  return Exit::ok;
}

}  // namespace

void add_link_commands(Commands& commands) {
  auto l = std::make_shared<Options>();
  auto* linking = commands.add("ln", "Give what is on the grid another name");
  linking->add_option("FROM", l->from, "A cap, alias:path or cap/path")->required();
  linking->add_option("TO", l->to, "The new name, or a directory to put it into")->required();
  linking->add_flag("-f", l->force, "Replace a file of that name");
  on_session(commands, linking, l, ln);

  auto c = std::make_shared<Options>();
  auto* creating = commands.add("create-alias", "Make a new directory and an alias for it");
  creating->add_option("NAME", c->from, "What is typed in front of the colon")->required();
  on_session(commands, creating, c, create_alias);

  auto a = std::make_shared<Options>();
  auto* adding = commands.add("add-alias", "Make an alias for a directory");
  adding->add_option("NAME", a->from, "What is typed in front of the colon")->required();
  adding->add_option("DIRECTORY", a->to, "Its cap, alias:path or cap/path")->required();
  on_session(commands, adding, a, add_alias);

  auto s = std::make_shared<Options>();
  auto* listing = commands.add("list-aliases", "List the aliases of this node");
  listing->add_flag("--caps", s->caps, "With caps: who has them has the files");
  listing->add_flag("--json", s->json, "One JSON array");
  commands.on(listing, [&commands, s]() -> Result<Exit> {
    TRY(node, grid::NodeDir::open(commands.globals().node_path()));
    return list_aliases(node, *s);
  });
}

}  // namespace lafs::cli
