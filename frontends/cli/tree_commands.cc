// SPDX-License-Identifier: Apache-2.0

// lafs ls, mkdir, rm, mv, stat, cap: names and what they stand for.

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "frontends/cli/entries.h"
#include "frontends/cli/output.h"
#include "frontends/cli/transfer.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;

struct Options {
  std::string place;
  std::string to;
  std::vector<std::string> many;
  std::string format;
  bool json = false;
  bool caps = false;
  bool details = false;
  bool parents = false;
  bool recursive = false;
  bool force = false;
  bool read_only = false;
  bool verify = false;
};

void set_size(Entry& entry) { entry.size = entry.cap.size(); }

Task<Result<Exit>> ls(Session& session, const Options& options) {
  CO_TRY(target, parse_grid_target(options.place));
  CO_TRY(place, co_await existing_place(session, std::move(target)));
  std::vector<Entry> entries;
  if (place.is_directory()) {
    CO_TRY(directory, co_await directory_at(session, place));
    for (auto& child : directory->children()) {
      Entry entry{child.name, child.cap, child, std::nullopt};
      if (!child.cap.is_directory()) set_size(entry);
      entries.push_back(std::move(entry));
    }
  } else {
    Entry entry{place.name.empty() ? place.text : place.name, *place.cap, place.child, {}};
    set_size(entry);
    entries.push_back(std::move(entry));
  }
  if (options.json) {
    json::array all;
    for (const auto& entry : entries) all.push_back(to_json(entry, options.caps));
    print(json::serialize(all) + "\n");
    co_return Exit::ok;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : entries) {
    auto row = options.details ? to_row(entry) : std::vector<std::string>{to_row(entry).back()};
    // Only terminals get colours, and only names of directories.
    if (colors_wanted() && entry.cap.is_directory())
      row.back() = "\x1b[34m" + row.back() + "\x1b[0m";
    if (options.caps) row.insert(row.begin(), entry.cap.text());
    rows.push_back(std::move(row));
  }
  print(format_table(rows, options.details ? std::vector<std::size_t>{options.caps ? 2u : 1u}
                                           : std::vector<std::size_t>{}));
  co_return Exit::ok;
}

Task<Result<Exit>> mkdir(Session& session, const Options& options) {
  CO_TRY(format, format_named(options.format, session.node().mutable_format()));
  if (options.place.empty()) {
    CO_TRY(cap, co_await session.client().create_directory({}, format));
    print(cap.text() + "\n");
    co_return Exit::ok;
  }
  CO_TRY(target, parse_grid_target(options.place));
  target.is_folder = false;
  if (!options.parents) {
    CO_TRY(place, co_await find_place(session, std::move(target)));
    CO_TRY_DO(co_await make_directory_at(session, std::move(place), std::nullopt, format));
    co_return Exit::ok;
  }
  auto at = target;
  at.path.clear();
  CO_TRY(place, co_await existing_place(session, std::move(at)));
  for (const auto& name : target.path) {
    CO_TRY(next, co_await place_in(session, place, name));
    if (!next.exists()) {
      CO_TRY(made, co_await make_directory_at(session, std::move(next), std::nullopt, format));
      next = std::move(made);
    }
    place = std::move(next);
  }
  if (!place.is_directory()) co_return fail(Errc::not_directory, place.text);
  co_return Exit::ok;
}

Task<Result<>> remove_one(Session& session, std::string text, const Options& options) {
  CO_TRY(target, parse_grid_target(text));
  auto place = co_await existing_place(session, std::move(target));
  if (!place) {
    if (options.force && place.error().code == Errc::not_found) co_return Result<>{};
    co_return std::unexpected(std::move(place.error()));
  }
  if (!place->parent) {
    co_return fail(Errc::bad_argument,
                   place->text + " is an alias or a cap, not a name in a directory");
  }
  if (place->is_directory() && !options.recursive) {
    auto inside = co_await directory_at(session, *place);
    if (!inside || !(*inside)->empty()) co_return fail(Errc::not_empty, place->text);
  }
  std::vector<grid::Edit> edits;
  edits.emplace_back(grid::Edit::Remove{.name = place->name,
                                        .must_exist = !options.force,
                                        .expected = options.force ? std::nullopt : place->cap});
  auto done = co_await place->parent->apply(std::move(edits));
  if (!done) co_return annotate(std::move(done.error()), place->text);
  co_return Result<>{};
}

Task<Result<Exit>> rm(Session& session, const Options& options) {
  for (const auto& one : options.many) CO_TRY_DO(co_await remove_one(session, one, options));
  co_return Exit::ok;
}

Task<Result<Exit>> mv(Session& session, const Options& options) {
  CO_TRY(from_target, parse_grid_target(options.place));
  CO_TRY(to_target, parse_grid_target(options.to));
  CO_TRY(from, co_await existing_place(session, std::move(from_target)));
  if (!from.parent) {
    co_return fail(Errc::bad_argument, from.text + " is an alias or a cap; `lafs cp` links it");
  }
  CO_TRY(to, co_await destination_place(session, std::move(to_target), from.name));
  const bool same_folder = to.parent == from.parent;
  if (same_folder && to.name == from.name) co_return Exit::ok;
  if (to.is_directory()) co_return fail(Errc::exists, to.text);
  if (from.is_directory() && to.exists()) co_return fail(Errc::not_directory, to.text);
  for (const auto& above : to.above) {
    if (from.is_directory() && above.verifier() == from.cap->verifier()) {
      co_return fail(Errc::bad_argument, "cannot move " + from.text + " below itself");
    }
  }
  if (!from.parent->writable()) co_return fail(Errc::read_only, "the directory of " + from.text);
  if (!to.parent->writable()) co_return fail(Errc::read_only, "the directory of " + to.text);
  std::vector<grid::Edit> edits;
  if (same_folder) {
    edits.emplace_back(grid::Edit::Rename{from.name, to.name, grid::Overwrite::only_files});
    auto done = co_await from.parent->apply(std::move(edits));
    if (!done) co_return annotate(std::move(done.error()), from.text);
    co_return Exit::ok;
  }
  // Added before it is removed: whatever happens in between, it has a name.
  edits.emplace_back(grid::Edit::Set{.name = to.name,
                                     .cap = *from.cap,
                                     .metadata = from.child->metadata,
                                     .overwrite = grid::Overwrite::only_files,
                                     .read_cap = from.child->read_cap,
                                     .keep_link_times = true});
  auto added = co_await to.parent->apply(std::move(edits));
  if (!added) co_return annotate(std::move(added.error()), to.text);
  std::vector<grid::Edit> removal;
  removal.emplace_back(grid::Edit::Remove{from.name, false, from.cap});
  auto removed = co_await from.parent->apply(std::move(removal));
  if (!removed) co_return annotate(std::move(removed.error()), from.text);
  co_return Exit::ok;
}

Task<Result<Exit>> stat(Session& session, const Options& options) {
  CO_TRY(target, parse_grid_target(options.place));
  CO_TRY(place, co_await existing_place(session, std::move(target)));
  Entry entry{place.name, *place.cap, place.child, std::nullopt};
  if (place.is_directory()) {
    CO_TRY(directory, co_await directory_at(session, place));
    entry.size = directory->children().size();
  } else {
    auto size = co_await session.cached().size(*place.cap);
    if (!size) co_return annotate(std::move(size.error()), place.text);
    entry.size = *size;
  }
  const auto index = place.cap->storage_index();
  const auto* chk = place.cap->as<grid::ChkCap>();
  if (options.json) {
    auto out = to_json(entry, options.caps);
    if (place.is_directory()) {
      out["entries"] = *entry.size;
      out["size"] = nullptr;
    }
    out["storage_index"] = index ? json::value(index->text()) : json::value(nullptr);
    if (chk) out["shares"] = json::object{{"needed", chk->k}, {"total", chk->n}};
    print(json::serialize(out) + "\n");
    co_return Exit::ok;
  }
  std::vector<std::vector<std::string>> rows{{"place", printable(place.text)},
                                             {"kind", kind_of(entry)},
                                             {"format", format_of(*place.cap)}};
  rows.push_back(place.is_directory()
                     ? std::vector<std::string>{"entries", std::to_string(*entry.size)}
                     : std::vector<std::string>{"size", std::to_string(*entry.size) + " bytes"});
  rows.push_back({"mode", to_row(entry).front()});
  rows.push_back({"modified", human_time(modified_at(entry).value_or(0))});
  rows.push_back({"writable", place.cap->as<grid::MutableWriteCap>() ? "yes" : "no"});
  if (index) rows.push_back({"storage index", index->text()});
  if (chk) {
    rows.push_back(
        {"shares", std::to_string(chk->k) + " of " + std::to_string(chk->n) + " needed"});
  }
  if (options.caps) rows.push_back({"cap", place.cap->text()});
  print(format_table(rows));
  co_return Exit::ok;
}

Task<Result<Exit>> cap(Session& session, const Options& options) {
  CO_TRY(target, parse_grid_target(options.place));
  CO_TRY(place, co_await existing_place(session, std::move(target)));
  std::optional<Cap> wanted = place.cap;
  if (options.read_only) wanted = place.cap->read_only();
  if (options.verify) wanted = place.cap->verifier();
  if (!wanted) co_return fail(Errc::unsupported, place.text + ": there is no such cap of it");
  if (options.json) {
    print(json::serialize(to_json(Entry{place.name, *place.cap, place.child, {}}, true)) + "\n");
  } else {
    print(wanted->text() + "\n");
  }
  co_return Exit::ok;
}

}  // namespace

void add_tree_commands(Commands& commands) {
  const auto add = [&commands](const char* name, const char* description,
                               Task<Result<Exit>> (*body)(Session&, const Options&)) {
    auto* command = commands.add(name, description);
    auto options = std::make_shared<Options>();
    on_session(commands, command, options, body);
    return std::pair(command, options);
  };
  constexpr auto place_help = "alias:path, a cap, or cap/path (default: the alias tahoe:)";

  const auto [list, l] = add("ls", "List a directory", ls);
  list->add_option("PLACE", l->place, place_help);
  list->add_flag("-l", l->details, "With mode, size and time");
  list->add_flag("--caps", l->caps, "With caps: who has them has the files");
  list->add_flag("--json", l->json, "One JSON array");

  const auto [make, m] = add("mkdir", "Make a directory", mkdir);
  make->add_option("PLACE", m->place, "alias:path; without it the new directory's cap is printed");
  make->add_option("--format", m->format,
                   "sdmf or mdmf, which large directories are better in (default: the node's)");
  make->add_flag("-p", m->parents, "Also those above it; no error when it is there");

  const auto [remove, r] = add("rm", "Remove names from directories", rm);
  remove->add_option("PLACE", r->many, "alias:path or cap/path")->required();
  remove->add_flag("-r", r->recursive, "Also directories that are not empty");
  remove->add_flag("-f", r->force, "No error when there is nothing");

  const auto [move, v] = add("mv", "Move or rename", mv);
  move->add_option("FROM", v->place, "alias:path or cap/path")->required();
  move->add_option("TO", v->to, "The new name, or a directory to move into")->required();

  const auto [tell, s] = add("stat", "Say what is there", stat);
  tell->add_option("PLACE", s->place, place_help);
  tell->add_flag("--caps", s->caps, "With its cap: who has it has the file");
  tell->add_flag("--json", s->json, "One JSON object");

  const auto [name, c] = add("cap", "Print the cap of what is there", cap);
  name->add_option("PLACE", c->place, place_help);
  auto* read = name->add_flag("--read-only", c->read_only, "The cap that can only read");
  name->add_flag("--verify", c->verify, "The cap that can only check")->excludes(read);
  name->add_flag("--json", c->json, "All of them, as one JSON object");
}

}  // namespace lafs::cli
