// SPDX-License-Identifier: Apache-2.0
#pragma once

// One file between here and the grid.

#include <filesystem>

#include "frontends/cli/places.h"
#include "frontends/cli/progress.h"

namespace lafs::cli {

// What an upload is made of. Keeps the file open; read on the pool.
struct LocalSource {
  grid::Source source;
  std::optional<cache::PosixFacts> facts;  // mode and time of the file
  std::shared_ptr<void> keep;
};

Result<LocalSource> open_local(Io io, const std::filesystem::path& path);
// Standard input to its end, kept encrypted in a nameless file of `directory`.
Task<Result<LocalSource>> read_input(Io io, std::filesystem::path directory, Progress& progress);

// Standard input while it comes, `size` bytes of it: it can be read only once, and is stored under
// a random key.
Task<Result<LocalSource>> stream_input(Io io, std::uint64_t size);

// Uploads immutable content, with progress.
Task<Result<Cap>> upload(Session& session, const LocalSource& from, Progress& progress);

// Links a cap to a free or taken name of a directory. A directory there is Errc::is_directory.
Task<Result<>> link(Place place, Cap cap, std::optional<cache::PosixFacts> facts);

// Puts `from` there: new immutable content under the name, or new contents of a mutable file that
// is there already. Returns the cap.
Task<Result<Cap>> store(Session& session, LocalSource from, Place place, Progress& progress);

// Everything of a file, in order, to `write`, which may fail.
using Sink = std::function<Result<>(ByteView)>;
Task<Result<>> fetch(Session& session, Cap cap, std::uint64_t offset, std::uint64_t length,
                     Sink write, Progress& progress);

// Into a local file, which appears (or is replaced) whole and only when all of it was read.
Task<Result<>> fetch_to_file(Session& session, Cap cap, std::filesystem::path to,
                             cache::PosixFacts facts, Progress& progress);

// A name from the grid that may become a name here: not "", ".", "..", without '/' and NUL.
Result<> check_local_name(std::string_view name);

}  // namespace lafs::cli
