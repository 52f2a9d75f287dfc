// SPDX-License-Identifier: Apache-2.0

// lafs manifest and stats: what there is below a directory.

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "frontends/cli/link_commands.h"
#include "frontends/cli/lister.h"
#include "frontends/cli/output.h"
#include "frontends/cli/places.h"
#include "grid/tree_stats.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;

struct Options {
  std::string place;
  bool caps = false;
  bool recursive = false;
  bool json = false;
};

json::array path_array(std::string_view path) {
  json::array out;
  while (!path.empty()) {
    const auto name = path.substr(0, path.find('/'));
    out.emplace_back(name);
    path.remove_prefix(std::min(path.size(), name.size() + 1));
  }
  return out;
}

json::object stats_json(const grid::TreeStats& s) {
  json::array histogram;
  for (const auto& [bucket, count] : s.histogram) {
    const auto range = grid::bucket_range(bucket);
    histogram.push_back(json::array{range.least, range.most, count});
  }
  return {{"count-immutable-files", s.immutable_files},
          {"count-mutable-files", s.mutable_files},
          {"count-literal-files", s.literal_files},
          {"count-files", s.files()},
          {"count-directories", s.directories},
          {"count-unknown", s.unknown},
          {"count-unreadable-directories", s.unreadable_directories},
          {"size-immutable-files", s.immutable_bytes},
          {"size-literal-files", s.literal_bytes},
          {"size-directories", s.directory_bytes},
          {"largest-directory", s.largest_directory},
          {"largest-directory-children", s.largest_directory_children},
          {"largest-immutable-file", s.largest_immutable_file},
          {"size-files-histogram", std::move(histogram)}};
}

std::string stats_text(const grid::TreeStats& s) {
  std::vector<std::vector<std::string>> rows{
      {"directories", std::to_string(s.directories), human_size(s.directory_bytes)},
      {"immutable files", std::to_string(s.immutable_files), human_size(s.immutable_bytes)},
      {"literal files", std::to_string(s.literal_files), human_size(s.literal_bytes)},
      {"mutable files", std::to_string(s.mutable_files), ""},
      {"unknown", std::to_string(s.unknown), ""},
      {"largest directory", std::to_string(s.largest_directory_children) + " children",
       human_size(s.largest_directory)},
      {"largest file", "", human_size(s.largest_immutable_file)},
  };
  for (const auto& [bucket, count] : s.histogram) {
    const auto range = grid::bucket_range(bucket);
    rows.push_back(
        {"files of " + std::to_string(range.least) + " to " + std::to_string(range.most) + " bytes",
         std::to_string(count), ""});
  }
  return format_table(rows, {1, 2});
}

Task<Result<>> list_one(const std::string* root, const Options* options, const grid::Found* found) {
  const auto& cap = found->cap;
  const auto index = cap.storage_index();
  if (options->json) {
    const auto* kind = cap.is_directory() ? "directory" : cap.is_unknown() ? "unknown" : "file";
    json::object line{{"path", path_array(found->path)},
                      {"type", kind},
                      {"storage-index", index ? index->text() : ""}};
    if (options->caps) {
      const auto verifier = cap.verifier();
      line["cap"] = cap.text();
      line["verifycap"] = verifier ? verifier->text() : "";
      line["repaircap"] = verifier ? verifier->text() : "";
    }
    if (found->error) line["error"] = printable(found->error->message());
    print(json::serialize(line) + "\n");
    co_return Result<>();
  }
  std::string line = options->caps ? cap.text() : index ? index->text() : std::string(26, '-');
  line += " " + printable(found->path.empty() ? *root : found->path);
  if (found->error) line += " (cannot be listed: " + printable(found->error->message()) + ")";
  print(line + "\n");
  co_return Result<>();
}

Task<Result<Exit>> manifest(Session& session, const Options& options) {
  CO_TRY(target, parse_grid_target(options.place));
  CO_TRY(place, co_await existing_place(session, std::move(target)));
  grid::TreeStats stats;
  grid::Visitor visit = [&](const grid::Found& found) {
    stats.add(found);
    return list_one(&place.text, &options, &found);
  };
  CO_TRY_DO(co_await grid::walk(lister(session), *place.cap, std::move(visit), {}));
  if (options.json) {
    print(json::serialize(json::object{{"type", "stats"}, {"stats", stats_json(stats)}}) + "\n");
  }
  co_return stats.unreadable_directories > 0 ? Exit::failed : Exit::ok;
}

Task<Result<>> nothing_more() { co_return Result<>(); }

Task<Result<Exit>> stats(Session& session, const Options& options) {
  CO_TRY(target, parse_grid_target(options.place));
  CO_TRY(place, co_await existing_place(session, std::move(target)));
  grid::TreeStats stats;
  if (options.recursive || !place.is_directory()) {
    grid::Visitor visit = [&](const grid::Found& found) {
      stats.add(found);
      return nothing_more();
    };
    CO_TRY_DO(co_await grid::walk(lister(session), *place.cap, std::move(visit), {}));
  } else {
    auto list = lister(session);
    CO_TRY(listing, co_await list(*place.cap));
    grid::Found found{"", *place.cap, nullptr, &listing, {}};
    stats.add(found);
    for (std::size_t i = 0; i < listing.size(); ++i) {
      const auto child = listing.child(i);
      stats.add({child.name, child.cap, &child, nullptr, {}});
    }
  }
  if (options.json) {
    print(json::serialize(stats_json(stats)) + "\n");
  } else {
    print(stats_text(stats));
  }
  co_return stats.unreadable_directories > 0 ? Exit::failed : Exit::ok;
}

}  // namespace

void add_survey_commands(Commands& commands) {
  const auto add = [&commands](const char* name, const char* description,
                               Task<Result<Exit>> (*body)(Session&, const Options&)) {
    auto* command = commands.add(name, description);
    auto options = std::make_shared<Options>();
    on_session(commands, command, options, body);
    command->add_option("PLACE", options->place,
                        "alias:path, a cap, or cap/path (default: the alias tahoe:)");
    return std::pair(command, options);
  };
  const auto [list, m] =
      add("manifest", "List everything below a directory, each thing once", manifest);
  list->add_flag("--caps", m->caps, "With caps instead of storage indexes");
  list->add_flag("--json", m->json,
                 "One JSON object for each thing, as it is found; last the sums");

  const auto [count, s] = add("stats", "Count what a directory holds", stats);
  count->add_flag("-r,--recursive", s->recursive, "Everything below it, each thing once");
  count->add_flag("--json", s->json, "One JSON object");
}

}  // namespace lafs::cli
