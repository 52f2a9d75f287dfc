// SPDX-License-Identifier: Apache-2.0
#pragma once

// What commands say about one thing on the grid: a row of `ls -l`, an object of `--json`.

#include <boost/json/object.hpp>
#include <optional>
#include <string>

#include "cache/cached_client.h"

namespace lafs::cli {

struct Entry {
  std::string name;  // empty for an alias or cap itself
  grid::Cap cap;
  std::optional<grid::Child> child;
  std::optional<std::uint64_t> size;  // unknown for directories and for mutable files not asked
};

// "file", "directory", "symlink", "fifo", "socket", "unknown".
std::string kind_of(const Entry& entry);
// "CHK", "LIT", "SDMF", "MDMF", "verifier" or "unknown"; "DIR2" and so on for directories.
std::string format_of(const grid::Cap& cap);
// Seconds since 1970; nothing when nobody said.
std::optional<double> modified_at(const Entry& entry);
// Where a symbolic link points.
std::optional<std::string> link_target(const Entry& entry);

// {"name", "kind", "format", "size", "mode", "modified", "writable", "target"?}; `caps` adds "cap",
// "read_cap" and "verify_cap".
boost::json::object to_json(const Entry& entry, bool caps);

// The cells of `ls -l`: mode, size, time, name.
std::vector<std::string> to_row(const Entry& entry);

}  // namespace lafs::cli
