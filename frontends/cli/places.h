// SPDX-License-Identifier: Apache-2.0
#pragma once

// From what was typed to what is there on the grid: aliases and caps are looked up, paths walked.

#include <memory>
#include <optional>
#include <string>

#include "cache/cached_client.h"
#include "frontends/cli/session.h"
#include "frontends/cli/target.h"

namespace lafs::cli {

using cache::CachedDirectory;
using grid::Cap;
using grid::Child;

// A name in a directory, or an alias or cap itself.
struct Place {
  std::string text;  // for messages
  // Absent for an alias or cap itself.
  std::shared_ptr<CachedDirectory> parent;
  std::string name;
  // The directories from the root to `parent`, both included: who may not be put below itself.
  std::vector<Cap> above;
  // What is there; nothing: the name is free.
  std::optional<Cap> cap;
  std::optional<Child> child;  // its entry, when it has one

  bool exists() const { return cap.has_value(); }
  bool is_directory() const { return cap && cap->is_directory(); }
};

// The cap that an alias or a cap's text stands for.
Result<Cap> root_cap(const grid::NodeDir& node, const Target& target);

// Walks the path; its last name may be free. not_found, not_directory, bad_cap, and the grid's own.
Task<Result<Place>> find_place(Session& session, Target target);
// The same, but not_found when nothing is there.
Task<Result<Place>> existing_place(Session& session, Target target);
// Where something called `name` goes when it is sent to `target`: into a directory that is there or
// that the target's slash asks for, else to the target itself.
Task<Result<Place>> destination_place(Session& session, Target target, std::string name);

// The place for a name in a directory that is known.
Task<Result<Place>> place_in(Session& session, const Place& directory, std::string name);

// The directory that is there, read. not_directory when it is something else.
Task<Result<std::shared_ptr<CachedDirectory>>> directory_at(Session& session, const Place& place);

// Makes a new directory there. Errc::exists, read_only.
Task<Result<Place>> make_directory_at(Session& session, Place place,
                                      std::optional<cache::PosixFacts> facts = std::nullopt,
                                      std::optional<grid::MutableFormat> format = std::nullopt);

// "sdmf" or "mdmf" as typed, else what the node's configuration says. bad_argument.
Result<grid::MutableFormat> format_named(std::string_view typed, std::string_view configured);

}  // namespace lafs::cli
