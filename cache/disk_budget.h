// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much of the disk staged files may take. A write that goes over it fails with Errc::no_space;
// before that, pressure() rises so that writers can be slowed down. I/O thread only.

#include <unordered_map>

#include "cache/disk.h"
#include "grid/base/task.h"

namespace lafs::cache {

class DiskBudget {
 public:
  struct Options {
    std::uint64_t most_bytes = UINT64_MAX;  // of staged content
    std::uint64_t min_free = 256u << 20;    // of the disk, left to others
  };
  DiskBudget(const Disk& disk, std::string directory, Options options);

  // More of the staging file `file` (0: of a new one), which counts until it is forgotten, whether
  // it is open or not. Errc::no_space.
  Result<> take(std::uint64_t file, std::uint64_t bytes);
  // What of it is on the disk already: all there is.
  void charge(std::uint64_t file, std::uint64_t bytes);
  void give_back(std::uint64_t file, std::uint64_t bytes);
  void forget(std::uint64_t file);  // it is gone
  std::uint64_t used() const { return used_; }
  // What may still be staged.
  std::uint64_t available();
  // 0 while there is plenty, rising to 1 when nothing is left: the last quarter of the budget.
  double pressure();

 private:
  void look();
  const Disk& disk_;
  std::string directory_;
  Options options_;
  std::unordered_map<std::uint64_t, std::uint64_t> files_;  // bytes of each
  std::uint64_t used_ = 0;                                  // by all
  std::uint64_t disk_free_ = 0;
  std::uint64_t taken_since_look_ = 0;
  TimePoint next_look_{};
};

}  // namespace lafs::cache
