// SPDX-License-Identifier: Apache-2.0
#pragma once

// The mounts of one daemon: each a place of the drive at a directory of this machine. I/O thread
// only; the drive outlives it.

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "frontends/drive.h"
#include "frontends/fuse/mount.h"
#include "frontends/mount_options.h"

namespace lafs {

struct MountRequest {
  std::string root;  // alias:path or a cap; empty: tahoe:
  std::string mountpoint;
  MountWords words;
};

class Mounts {
 public:
  explicit Mounts(Drive& drive);
  ~Mounts();
  Mounts(const Mounts&) = delete;
  Mounts& operator=(const Mounts&) = delete;

  // Returns the mountpoint without symbolic links when it is mounted.
  Task<Result<std::string>> start(MountRequest request);
  // Until nothing is mounted at it any more; not_found when nothing was.
  Task<Result<>> ended(std::string mountpoint);
  // Takes this one out of the tree, and waits for those who have files open, for a while.
  Task<> end(std::string mountpoint);
  // Until all have ended; being cancelled ends them.
  Task<> all_ended();
  // Takes them out of the tree, and waits for those who have files open, for a while.
  Task<> close();

  struct Info {
    std::string root, mountpoint;
    bool read_only = false;
  };
  std::vector<Info> list() const;

 private:
  struct One;
  Task<> serve(std::shared_ptr<One> one);

  Drive& drive_;
  std::list<std::shared_ptr<One>> all_;
  Signal changed_;
  TaskGroup serving_;
};

}  // namespace lafs
