// SPDX-License-Identifier: Apache-2.0
#pragma once

// What people do on a drive all day, timed: system calls in a directory, wherever that is.

#include <optional>
#include <string>
#include <vector>

#include "grid/base/result.h"

namespace lafs::cli {

struct DriveScale {
  unsigned megabytes = 256;  // of the one large file
  unsigned files = 2000;     // small ones
  unsigned tree_files = 1500;
};

struct DriveRow {
  std::string key;  // for those who choose rows
  std::string name;
  std::string unit;
  double goal;  // against a rival: how many times as much
};

// In the order in which they are run; the last, "grid", is not of a pass.
const std::vector<DriveRow>& drive_rows();

// A source tree to copy from, on the plain disk.
Result<> make_source_tree(const std::string& directory, const DriveScale& scale);

// One pass in `directory`, which is empty, and is empty again afterwards: a figure for each row, or
// nothing for rows whose key is not among `only` (empty: all of them). What a row needs from those
// before it is done all the same.
Result<std::vector<std::optional<double>>> drive_pass(const std::string& directory,
                                                      const std::string& source_tree,
                                                      const DriveScale& scale,
                                                      const std::vector<std::string>& only);

// The file as it is on the grid, read from the beginning to the end: MB/s.
Result<double> read_through(const std::string& file);
Result<> write_large(const std::string& file, unsigned megabytes);

// Runs a program to its end; its output goes nowhere. Errc::io with the name when it fails.
Result<> run_program(const std::vector<std::string>& words, const std::string& input = {});

}  // namespace lafs::cli
