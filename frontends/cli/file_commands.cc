// SPDX-License-Identifier: Apache-2.0

// lafs put, get, cat: one file in or out.

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>

#include "frontends/cli/output.h"
#include "frontends/cli/transfer.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
namespace stdfs = std::filesystem;

struct Options {
  std::string from;
  std::string to;
  std::vector<std::string> many;
  std::uint64_t offset = 0;
  std::uint64_t length = UINT64_MAX;
  std::string format;
  bool at_offset = false;
  std::uint64_t size = 0;
  bool mutable_file = false;
  bool quiet = false;
  bool json = false;
};

Result<Target> local_target(const std::string& text) {
  TRY(target, parse_target(text));
  if (target.kind == Target::Kind::grid) {
    return fail(Errc::bad_argument, "\"" + target.text() +
                                        "\" is on the grid; a local file or - is "
                                        "needed here (cp copies within the grid)");
  }
  return target;
}

Task<Result<LocalSource>> open_source(Session& session, Target from, std::uint64_t size,
                                      Progress& progress) {
  if (size > 0) {
    if (from.kind != Target::Kind::pipe) {
      co_return fail(Errc::bad_argument, "--size is for standard input (-)");
    }
    co_return co_await stream_input(session.io(), size);
  }
  if (from.kind == Target::Kind::pipe) {
    co_return co_await read_input(session.io(), session.node().path() / "private", progress);
  }
  co_return open_local(session.io(), from.local);
}

// One publish holds it in memory.
constexpr std::uint64_t largest_patch = std::uint64_t{1} << 30;

// Into a mutable file that is there, from `offset` on.
Task<Result<Cap>> patch_file(Session& session, const LocalSource& from, const Place& place,
                             std::uint64_t offset) {
  if (!place.cap || !place.cap->as<grid::MutableWriteCap>() || place.is_directory()) {
    co_return fail(Errc::bad_argument,
                   place.text + " is no mutable file that can be written; --offset needs one");
  }
  if (from.source.size > largest_patch || offset > std::uint64_t{1} << 40) {
    co_return fail(Errc::too_large, "at most 1 GiB is written into a mutable file at once");
  }
  grid::Patch patch{std::nullopt, offset, Bytes(from.source.size)};
  if (!patch.data.empty()) CO_TRY_DO(co_await from.source.read(0, patch.data));
  CO_TRY(file, session.client().mutable_file(*place.cap));
  CO_TRY_DO(co_await file->patch(std::move(patch)));
  co_return *place.cap;
}

Task<Result<Cap>> store_mutable(Session& session, LocalSource from, std::optional<Place> place,
                                std::string named) {
  Bytes contents(from.source.size);
  if (!contents.empty()) CO_TRY_DO(co_await from.source.read(0, contents));
  CO_TRY(format, format_named(named, session.node().mutable_format()));
  CO_TRY(cap, co_await session.client().create_mutable(format, std::move(contents)));
  if (place) CO_TRY_DO(co_await link(std::move(*place), cap, from.facts));
  co_return cap;
}

// Where a local file called `name` goes. A cap alone may be that of a mutable file, which is
// written.
Task<Result<Place>> place_for(Session& session, Target to, std::string name) {
  if (to.path.empty() && !to.is_folder) {
    auto place = co_await find_place(session, to);
    if (!place || !place->is_directory()) co_return place;
  }
  co_return co_await destination_place(session, std::move(to), std::move(name));
}

Task<Result<Exit>> put(Session& session, const Options& options) {
  CO_TRY(from, local_target(options.from));
  Progress progress(from.text(), !options.quiet && !options.json);
  std::optional<Place> place;
  if (!options.to.empty()) {
    CO_TRY(to, parse_grid_target(options.to));
    const auto name = stdfs::path(from.local).filename().string();
    if (from.kind == Target::Kind::pipe) {
      CO_TRY(found, co_await find_place(session, std::move(to)));
      place = std::move(found);
    } else {
      CO_TRY(found, co_await place_for(session, std::move(to), name));
      place = std::move(found);
    }
  }
  CO_TRY(source, co_await open_source(session, from, options.size, progress));
  const auto size = source.source.size;
  Result<Cap> cap = fail(Errc::internal);
  if (options.at_offset) {
    if (!place) co_return fail(Errc::bad_argument, "--offset: into which mutable file?");
    cap = co_await patch_file(session, source, *place, options.offset);
  } else if (options.mutable_file && !(place && place->exists())) {
    cap = co_await store_mutable(session, std::move(source), place, options.format);
  } else if (place) {
    cap = co_await store(session, std::move(source), *place, progress);
  } else {
    cap = co_await upload(session, source, progress);
  }
  if (!cap) co_return annotate(std::move(cap.error()), from.text());
  if (options.json) {
    print(json::serialize(json::object{{"cap", cap->text()}, {"size", size}}) + "\n");
  } else if (!place) {
    print(cap->text() + "\n");
  }
  co_return Exit::ok;
}

Result<> to_standard_output(ByteView data) {
  while (!data.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Errc::io, "cannot write to standard output");
    data = data.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Task<Result<>> cat_one(Session& session, std::string text, std::uint64_t offset,
                       std::uint64_t length, bool quiet) {
  CO_TRY(target, parse_grid_target(text));
  CO_TRY(place, co_await existing_place(session, std::move(target)));
  if (place.is_directory()) co_return fail(Errc::is_directory, place.text + "; see `lafs ls`");
  // A bar between lines of output would be a mess.
  Progress progress(place.text, !quiet && !::isatty(STDOUT_FILENO));
  auto done = co_await fetch(session, *place.cap, offset, length, to_standard_output, progress);
  if (!done) co_return annotate(std::move(done.error()), place.text);
  co_return Result<>{};
}

Task<Result<Exit>> cat(Session& session, const Options& options) {
  for (const auto& one : options.many) {
    CO_TRY_DO(co_await cat_one(session, one, options.offset, options.length, options.quiet));
  }
  co_return Exit::ok;
}

Task<Result<Exit>> get(Session& session, const Options& options) {
  CO_TRY(from, parse_grid_target(options.from));
  Target to;
  if (!options.to.empty()) {
    CO_TRY(given, local_target(options.to));
    to = std::move(given);
  }
  if (to.kind == Target::Kind::pipe) {
    CO_TRY_DO(co_await cat_one(session, options.from, 0, UINT64_MAX, options.quiet));
    co_return Exit::ok;
  }
  const auto name = from.path.empty() ? std::string() : from.path.back();
  CO_TRY(place, co_await existing_place(session, std::move(from)));
  if (place.is_directory()) co_return fail(Errc::is_directory, place.text + "; use `lafs cp -r`");
  std::error_code ignored;
  stdfs::path path = to.local;
  if (options.to.empty() || to.is_folder || stdfs::is_directory(path, ignored)) {
    if (name.empty()) co_return fail(Errc::bad_argument, "give the local file a name");
    CO_TRY_DO(check_local_name(name));
    path /= name;
  }
  Progress progress(path.string(), !options.quiet && !options.json);
  const auto facts = place.child ? place.child->metadata.posix() : cache::PosixFacts{};
  auto done = co_await fetch_to_file(session, *place.cap, path, facts, progress);
  if (!done) co_return annotate(std::move(done.error()), place.text);
  if (options.json) {
    CO_TRY(size, co_await session.cached().size(*place.cap));
    print(json::serialize(json::object{{"file", path.string()}, {"size", size}}) + "\n");
  }
  co_return Exit::ok;
}

}  // namespace

void add_file_commands(Commands& commands) {
  const auto run = [&commands](CLI::App* command, std::shared_ptr<Options> options,
                               Task<Result<Exit>> (*body)(Session&, const Options&)) {
    command->add_flag("-q,--quiet", options->quiet, "No progress bar");
    on_session(commands, command, options, body);
  };

  auto* putting = commands.add("put", "Store a local file, or standard input, on the grid");
  auto put_options = std::make_shared<Options>();
  putting->add_option("FROM", put_options->from, "A local file, or - for standard input")
      ->required();
  putting->add_option(
      "TO", put_options->to,
      "alias:path, a directory, or a mutable file's cap; without it the file's cap is printed");
  putting
      ->add_option(
          "--size", put_options->size,
          "Bytes that standard input will give: stored while they come, under a random key")
      ->type_name("BYTES");
  putting->add_flag("--mutable", put_options->mutable_file,
                    "As a mutable file, which can be changed under the same cap");
  putting
      ->add_option("--format", put_options->format,
                   "With --mutable: sdmf or mdmf, for files of which parts are changed")
      ->type_name("FORMAT");
  putting
      ->add_option_function<std::uint64_t>(
          "--offset",
          [put_options](std::uint64_t offset) {
            put_options->offset = offset;
            put_options->at_offset = true;
          },
          "Write into the mutable file TO from this byte on; the rest of it stays")
      ->type_name("BYTES");
  putting->add_flag("--json", put_options->json, "Print the cap and the size as JSON");
  run(putting, put_options, put);

  auto* getting = commands.add("get", "Fetch a file from the grid");
  auto get_options = std::make_shared<Options>();
  getting->add_option("FROM", get_options->from, "alias:path, a cap, or cap/path")->required();
  getting->add_option("TO", get_options->to,
                      "A local file or directory, or - (default: the same name, here)");
  getting->add_flag("--json", get_options->json, "Print the file's name and size as JSON");
  run(getting, get_options, get);

  auto* catting = commands.add("cat", "Write files of the grid to standard output");
  auto cat_options = std::make_shared<Options>();
  catting->add_option("FILE", cat_options->many, "alias:path, a cap, or cap/path")->required();
  catting->add_option("--offset", cat_options->offset, "Begin at this byte")->type_name("BYTES");
  catting->add_option("--length", cat_options->length, "At most so many bytes")->type_name("BYTES");
  run(catting, cat_options, cat);
}

}  // namespace lafs::cli
