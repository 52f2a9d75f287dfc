// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every server of files stands on: one node directory's session with the grid, and one
// Filesystem for each alias or cap that roots begin with, shared by all frontends of the process,
// so that a mount, SFTP and FTP show the same names and bytes at the same time, also where one has
// a directory of another as its root. I/O thread only.
//
//   Drive drive(session);
//   CO_TRY(view, co_await drive.root("tahoe:photos", {}));   // one for each frontend
//   ...
//   view.reset();                                            // when its frontend has ended
//   auto saved = co_await drive.close();                     // brings everything to the grid

#include <map>
#include <memory>
#include <string>

#include "cache/write_back.h"
#include "frontends/cli/session.h"
#include "frontends/fs/grid_fs.h"
#include "frontends/fs/view.h"

namespace lafs {

struct RootOptions {
  fs::View::Options view;              // but for its `usage`
  std::optional<std::uint64_t> quota;  // bytes of files below the root
  // What close and fsync wait for: the most that anybody wants who shares the alias or cap.
  fs::GridFs::Durability close = fs::GridFs::Durability::journal;
  fs::GridFs::Durability fsync = fs::GridFs::Durability::local;
  // Owner of what says nothing about its owner: the first one who asks for a root of the alias or
  // cap decides. Nothing: whom this process runs as.
  std::optional<std::uint32_t> uid, gid;
  // Likewise: reads of a grid that is away.
  bool hard = false;
  std::optional<Duration> read_timeout;
  // The first root of a drive decides: how long changes are gathered before they go to the grid,
  // and how much of the disk what was written may take.
  std::optional<Duration> write_back_delay;
  std::optional<std::uint64_t> most_staged, min_free;
};

// Where and how much is kept on the local disk; nothing: as always.
struct CacheSettings {
  std::optional<std::string> directory;  // instead of the node directory's private/
  std::optional<std::uint64_t> read_bytes;
  std::optional<std::uint64_t> min_free;  // of the disk, left to others
  bool keep_reads = true;
};

class Drive {
 public:
  // The session outlives the drive.
  explicit Drive(cli::Session& session) : session_(session) {}
  ~Drive();
  Drive(const Drive&) = delete;
  Drive& operator=(const Drive&) = delete;

  cli::Session& session() { return session_; }

  // Before the first root.
  void set_cache(CacheSettings settings);

  // The files below `place`, an alias:path or a cap (empty: the alias tahoe:). The directory is
  // read once now, so that a grid that is away is said here. A directory that this node cannot
  // write shows itself read-only. not_directory, not_found, and the grid's own errors.
  Task<Result<std::shared_ptr<fs::View>>> root(std::string place, RootOptions options);

  // What is on its way to the grid: reports, flush. Null while there is no root.
  cache::WriteBack* write_back() { return write_back_.get(); }

  // Brings everything that was acknowledged to the grid, then lets go; says what could not be
  // stored yet, which the next drive of this node directory goes on with. Once, when no frontend
  // uses its view any more.
  Task<Result<>> close();

 private:
  Result<> start(const RootOptions& options);
  Result<std::shared_ptr<fs::GridFs>> files_of(const grid::Cap& base, const RootOptions& options);
  // What is shown as a root: all of `files`, or the directory at `path`.
  Task<Result<fs::NodeId>> directory_at(fs::GridFs& files, std::vector<std::string> path);
  std::shared_ptr<fs::Filesystem> part_of(const std::shared_ptr<fs::GridFs>& files, fs::NodeId top);

  cli::Session& session_;

  CacheSettings cache_;
  std::unique_ptr<cache::Disk> disk_;
  std::unique_ptr<cache::WriteBack> write_back_;                    // once there is a root
  std::map<std::string, std::shared_ptr<fs::GridFs>> filesystems_;  // by the cap they begin with
  using Part = std::pair<const fs::GridFs*, std::uint64_t>;         // and its directory
  std::map<Part, std::shared_ptr<fs::Filesystem>> parts_;
  std::map<Part, std::shared_ptr<fs::Usage>> usages_;  // where there is a quota
};

}  // namespace lafs
