// SPDX-License-Identifier: Apache-2.0
#pragma once

// What people type where a file or directory is meant: `alias:path`, a cap, `cap/path`, a local
// path, or `-` for a pipe. Only the text is looked at here; nothing is opened.
//
//   work:a/b        alias "work", path a/b        URI:DIR2:.../a/b    a cap, path a/b
//   work:           the alias itself              a/b, ./odd:name     local (a slash before the
//   colon)
//   -               standard input or output

#include <string>
#include <string_view>
#include <vector>

#include "grid/base/result.h"

namespace lafs::cli {

struct Target {
  enum class Kind { pipe, local, grid };
  Kind kind = Kind::local;
  std::string local;              // kind local
  std::string alias;              // kind grid: this or `cap` is set
  std::string cap;                // as typed; not yet parsed
  std::vector<std::string> path;  // names below the alias or cap; no empty ones, no "."
  bool is_folder = false;         // ended with a slash: a directory is meant

  // As typed, for messages; a cap is cut to its kind.
  std::string text() const;
  bool operator==(const Target&) const = default;
};

// Without a colon the text is a local path.
Result<Target> parse_target(std::string_view text);

// For arguments that are always on the grid: without a colon the path is below the alias "tahoe",
// and an empty text is that alias. Errc::bad_argument for `-`.
Result<Target> parse_grid_target(std::string_view text);

// Splits at slashes; empty names and "." fall away. Errc::bad_name for "..".
Result<std::vector<std::string>> split_path(std::string_view path);

}  // namespace lafs::cli
