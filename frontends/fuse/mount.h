// SPDX-License-Identifier: Apache-2.0
#pragma once

// A Filesystem as a mounted directory:
//
//   Mount mount(executor);
//   CO_TRY_DO(mount.start(filesystem, "/mnt/grid", {}));   // mounted; requests wait
//   co_await mount.serve();                                // answers until unmounted or stopped
//
// All on the I/O thread. Whoever wants to end with stop() on SIGTERM handles it before start().
// Somebody must run serve() from start() on: until then every process that looks at the mountpoint
// sleeps. Nothing that runs on this thread may touch the mounted directory.

#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "frontends/fs/filesystem.h"
#include "frontends/fuse/reply.h"

namespace lafs::fuse {

// An extended attribute of the mountpoint: MountOptions::node.
inline constexpr const char* node_attribute = "user.lafs.node";

struct MountOptions {
  bool read_only = false;
  bool default_permissions = true;      // the kernel checks owners and permission bits
  bool allow_other = ::geteuid() == 0;  // for users other than ours; FUSE's own rule
  Timeouts timeouts;                    // how long the kernel may trust what it knows
  std::string source = "lafs";          // the first column of df and mount
  std::string node = {};                // the node directory that it is of, for those who ask
  std::vector<std::string> extra;       // more words for mount -o, such as "noatime", "noexec"
  unsigned read_ahead_kib = 1024;       // as root only; the kernel's own is 128
  bool sync_on_close = false;           // each close of a file that was written is an fsync
  Duration spin = std::chrono::microseconds(50);   // looks on after a request; not with one CPU
  std::function<void(unsigned)> served = {};       // hears how many requests came
  Duration stop_grace = std::chrono::seconds(10);  // for files still open when stop() is called
};

class Mount {
 public:
  explicit Mount(asio::any_io_executor executor);
  // Unmounts if need be. A serve() that has begun must have ended.
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  // Mounts, after clearing what dead daemons left there. Once. busy: there is a living mount of
  // ours already; not_found, not_directory, not_permitted, bad_argument (options), io.
  // `filesystem` must outlive the end of serve().
  Result<> start(fs::Filesystem& filesystem, const std::string& mountpoint, MountOptions options);

  // Answers requests until somebody unmounts, the connection is cut, or stop() has done its work;
  // then waits for the requests in flight and gives back all references and handles. Does not
  // close the Filesystem. Being cancelled is the same as stop().
  Task<> serve();

  // Takes the mount out of the tree at once and lets serve() go on for those who still have files
  // open, stop_grace long; what is open then fails. Any number of times.
  void stop();

  // Who tells the kernel of what changed elsewhere: from start() to the end of serve(), for whoever
  // shares the Filesystem to register.
  const fs::Observer& observer() const;

  // Where, absolute and without symbolic links. After start().
  const std::string& mountpoint() const;

 private:
  struct State;
  asio::any_io_executor executor_;
  std::unique_ptr<State> state_;
};

}  // namespace lafs::fuse
