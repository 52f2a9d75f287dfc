// SPDX-License-Identifier: Apache-2.0

// lafs cp: files and trees, either way and within the grid.

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "frontends/cli/copier.h"
#include "frontends/cli/output.h"
#include "grid/node_dir/files.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
namespace stdfs = std::filesystem;

struct Options {
  std::vector<std::string> places;  // the last one is where to
  bool recursive = false;
  bool quiet = false;
  bool json = false;
};

stdfs::path local_name(const Target& target) {
  auto path = stdfs::path(target.local).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename();
}

// Where one source goes when `to` is a local path.
Result<stdfs::path> local_destination(const Target& to, const Target& from, bool many) {
  std::error_code ignored;
  const bool folder = stdfs::is_directory(to.local, ignored);
  if (!folder && (many || to.is_folder)) return fail(Errc::not_directory, to.local);
  if (!folder) return stdfs::path(to.local);
  if (from.path.empty()) {
    return fail(Errc::bad_argument, "give the copy of " + from.text() + " a name");
  }
  TRY_DO(check_local_name(from.path.back()));
  return stdfs::path(to.local) / from.path.back();
}

Task<Result<>> copy_from_grid(Session& session, Copier& copier, Target from, Target to,
                              const Options& options) {
  CO_TRY(place, co_await existing_place(session, from));
  if (place.is_directory() && !options.recursive) co_return fail(Errc::is_directory, place.text);
  const bool many = options.places.size() > 2;
  if (to.kind == Target::Kind::local) {
    CO_TRY(path, local_destination(to, from, many));
    co_await copier.to_local(std::move(place), std::move(path));
    co_return Result<>{};
  }
  if (many) to.is_folder = true;
  // An alias or a cap alone has no name of its own; then the target must be one.
  if (from.path.empty()) {
    CO_TRY(exactly, co_await find_place(session, to));
    if (!exactly.parent || exactly.exists()) {
      co_return fail(Errc::bad_argument, "give the copy of " + place.text + " a new name");
    }
    co_await copier.within_grid(std::move(place), std::move(exactly));
    co_return Result<>{};
  }
  CO_TRY(there, co_await destination_place(session, to, from.path.back()));
  co_await copier.within_grid(std::move(place), std::move(there));
  co_return Result<>{};
}

Task<Result<>> copy_to_grid(Session& session, Copier& copier, Target from, Target to,
                            const Options& options) {
  std::error_code error;
  const bool directory = stdfs::is_directory(from.local, error);
  if (error) co_return grid::system_error(error.value(), from.local, "read");
  if (directory && !options.recursive) co_return fail(Errc::is_directory, from.local);
  if (options.places.size() > 2) to.is_folder = true;
  // `cp -r tree new:name/` makes the name; a file needs the directory to be there.
  if (directory && options.places.size() == 2) to.is_folder = false;
  const auto name = local_name(from).string();
  CO_TRY(place, co_await destination_place(session, std::move(to), name));
  // What is named is followed; what is found below it is kept as it is.
  stdfs::path path = from.local;
  if (!directory && stdfs::is_symlink(path, error)) {
    path = stdfs::canonical(path, error);
    if (error) co_return grid::system_error(error.value(), from.local, "read");
  }
  if (directory && stdfs::is_symlink(path, error)) path /= "";
  co_await copier.to_grid(std::move(path), std::move(place));
  co_return Result<>{};
}

Task<Result<Exit>> cp(Session& session, const Options& options) {
  CO_TRY(to, parse_target(options.places.back()));
  if (to.kind == Target::Kind::pipe) {
    co_return fail(Errc::bad_argument, "cp does not write to a pipe; `lafs cat` does");
  }
  std::vector<Target> sources;
  for (std::size_t i = 0; i + 1 < options.places.size(); ++i) {
    CO_TRY(from, parse_target(options.places[i]));
    if (from.kind == Target::Kind::pipe) {
      co_return fail(Errc::bad_argument, "cp does not read from a pipe; `lafs put` does");
    }
    if (from.kind == Target::Kind::local && to.kind == Target::Kind::local) {
      co_return fail(Errc::bad_argument, "neither \"" + from.text() + "\" nor \"" + to.text() +
                                             "\" is on the grid; write alias:path");
    }
    sources.push_back(std::move(from));
  }
  std::optional<Errc> first_error;
  const auto report = [&first_error](const Error& error) {
    if (!first_error) first_error = error.code;
    std::fprintf(stderr, "%s\n", error_line("cp", error).c_str());
  };
  Progress progress(options.places.front(), !options.quiet && !options.json);
  Copier copier(session, progress, report);
  for (auto& from : sources) {
    Result<> outcome;
    if (from.kind == Target::Kind::local) {
      outcome = co_await copy_to_grid(session, copier, from, to, options);
    } else {
      outcome = co_await copy_from_grid(session, copier, from, to, options);
    }
    if (!outcome) report(outcome.error());
  }
  co_await copier.finish();
  const bool stop = co_await stop_requested();
  if (stop) co_return fail(Errc::cancelled);
  if (options.json) {
    print(
        json::serialize(json::object{
            {"files", copier.files()}, {"bytes", copier.bytes()}, {"skipped", copier.skipped()}}) +
        "\n");
  }
  co_return first_error ? exit_of(*first_error) : Exit::ok;
}

}  // namespace

void add_copy_commands(Commands& commands) {
  auto* command = commands.add("cp", "Copy files and trees to, from and within the grid");
  auto options = std::make_shared<Options>();
  command
      ->add_option("PLACE", options->places,
                   "From where (one or more), and to where: local paths, alias:path, cap/path")
      ->required()
      ->expected(2, 100000);
  command->add_flag("-r,-R,--recursive", options->recursive,
                    "Directories with all that is in them");
  command->add_flag("-q,--quiet", options->quiet, "No progress bar");
  command->add_flag("--json", options->json, "Print how much was copied as JSON");
  commands.on_io(command, [&commands, options](Io io) {
    return with_session(io, commands.globals(),
                        [options](Session& session) { return cp(session, *options); });
  });
}

}  // namespace lafs::cli
