// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is on its way to the grid, for people: `lafs status`, `lafs flush`, `lafs umount`.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace lafs::cache {

struct PendingItem {
  enum class What : std::uint8_t { content, new_directory, names };
  enum class State : std::uint8_t { waiting, running, stuck };

  What what = What::content;
  State state = State::waiting;
  std::string path;                 // from the root of its drive
  std::uint64_t root = 0;           // which drive: the number of its root inode
  std::uint64_t inode = 0;          // of the file, or of the directory whose names changed
  std::uint64_t bytes = 0;          // of content; 0 for names
  std::uint64_t sent = 0;           // of them, as far as known
  std::uint64_t names = 0;          // changed ones
  std::chrono::seconds age{};       // since it was queued
  std::chrono::seconds next_try{};  // of a stuck one
  unsigned attempts = 0;            // that failed
  std::string error;                // of the last attempt; empty when none failed
};

struct PendingReport {
  std::uint64_t files = 0;        // whose content is not on the grid
  std::uint64_t bytes = 0;        // of them
  std::uint64_t directories = 0;  // new, or with changed names
  std::uint64_t names = 0;        // changed
  std::uint64_t running = 0, stuck = 0;
  std::uint64_t done_files = 0, done_bytes = 0, done_publishes = 0;  // since the start
  std::uint64_t conflicts = 0;                                       // likewise
  double bytes_per_second = 0;                                       // of the last seconds
  // What only a person can mend: damage found at the start, content that was lost.
  std::vector<std::string> warnings;
  // Those stuck and running first; at most as many as were asked for.
  std::vector<PendingItem> items;

  bool empty() const { return files == 0 && directories == 0; }
};

}  // namespace lafs::cache
