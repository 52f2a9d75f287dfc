// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a tree is made of, counted while it is walked (spec/mutable 9.2). Plain.

#include <map>

#include "grid/walk.h"

namespace lafs::grid {

struct TreeStats {
  std::uint64_t immutable_files = 0, mutable_files = 0, literal_files = 0, directories = 0,
                unknown = 0, unreadable_directories = 0;
  std::uint64_t immutable_bytes = 0, literal_bytes = 0, directory_bytes = 0;
  std::uint64_t largest_immutable_file = 0, largest_directory = 0, largest_directory_children = 0;
  // Of the sizes of immutable and literal files: bucket -> how many.
  std::map<unsigned, std::uint64_t> histogram;

  void add(const Found& found);
  std::uint64_t files() const { return immutable_files + mutable_files + literal_files; }
};

// Half decades: 0, 1-3, 4-10, 11-31, 32-100, ...
unsigned size_bucket(std::uint64_t size);
struct SizeRange {
  std::uint64_t least;
  std::uint64_t most;
};
SizeRange bucket_range(unsigned bucket);

}  // namespace lafs::grid
