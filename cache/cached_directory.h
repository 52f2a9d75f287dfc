// SPDX-License-Identifier: Apache-2.0
#pragma once

// A directory of the grid as this process sees it: the newest snapshot that was read, with the
// edits that are still on their way laid over it, so that everybody sees their own changes at once.
//
// Edits made while a publish is under way go out together in the next one. When a publish fails,
// its edits are taken back and their callers get the error. I/O thread only; owned by CachedClient.

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grid/base/task.h"
#include "grid/client.h"

namespace lafs::cache {

using grid::Child;
using grid::Metadata;
using grid::PosixFacts;

class CachedDirectory {
 public:
  // Asks the grid for the newest version of a directory; nothing for one that cannot change.
  using Probe = std::function<Task<Result<grid::VersionId>>()>;

  // Where snapshots are kept across restarts. `load` gives what was kept; `keep` is told each new
  // one. Either may be empty.
  struct Memory {
    std::function<Task<std::optional<grid::Listing>>()> load;
    std::function<void(const grid::Listing&)> keep;
  };

  // `ttl`: how long a snapshot is believed without asking.
  CachedDirectory(asio::any_io_executor executor, std::shared_ptr<grid::Directory> on_grid,
                  Probe probe, Duration ttl, Memory memory = {});

  bool writable() const { return on_grid_->writable(); }
  bool was_read() const { return snapshot_ != nullptr; }

  // Reads the directory the first time, and asks for its version again after the TTL. When the grid
  // is away and there is a snapshot (also one of an earlier process), that is kept and the error is
  // only logged; when the grid is slow, it is shown after a short wait, until the answer comes.
  Task<Result<>> refresh();
  // Forget how young the snapshot is.
  void expire() { fresh_until_ = TimePoint{}; }

  // The view. Valid after a refresh() that succeeded; nothing before it.
  std::optional<Child> find(std::string_view name) const;
  bool empty() const;
  std::vector<Child> children() const;  // sorted by name
  // Goes up whenever the view may have changed.
  std::uint64_t generation() const { return generation_; }

  // Lays `edits` over the view before it first suspends, and completes when they are on the grid
  // (or taken back). Errors as grid::Directory::edit().
  Task<Result<>> apply(std::vector<grid::Edit> edits);

  // The write path: all edits in one publish; where they met other writers' is the result. Nothing
  // is laid over the view meanwhile, their owner does that. `failed_edit`: as Directory::edit() has
  // it.
  Task<Result<std::vector<grid::Conflict>>> publish(std::vector<grid::Edit> edits,
                                                    grid::EditOptions options,
                                                    std::optional<std::size_t>* failed_edit);
  // We have just made it with these children, and nobody needs to be asked.
  void assume(const grid::Cap& cap, const std::vector<Child>& children);

  // Nothing is on its way, and nobody reads it just now.
  bool idle() const { return pending_.empty() && !updating_ && !publishing_.running(); }
  // Waits until nothing is on its way.
  Task<> close();

 private:
  struct Pending;
  Task<> publish_pending();
  Task<> update();
  // Null when the snapshot is still the newest.
  Task<Result<std::shared_ptr<const grid::Listing>>> read_if_changed();
  void lay_over();  // everything pending, over the present snapshot
  void lay_over(const grid::Edit& edit, double now);

  asio::any_io_executor executor_;
  std::shared_ptr<grid::Directory> on_grid_;
  Probe probe_;
  Memory memory_;
  std::shared_ptr<const grid::Listing> kept_;  // what memory_ was told last
  Duration ttl_;
  TaskGroup publishing_;
  TaskGroup updates_;
  Signal refreshed_;
  bool updating_ = false;
  bool away_ = false;  // the last update failed
  Error update_error_{Errc::closed, "directory"};
  std::shared_ptr<const grid::Listing> snapshot_;
  TimePoint fresh_until_{};
  std::list<std::shared_ptr<Pending>> pending_;
  std::map<std::string, std::optional<Child>, std::less<>> overlay_;  // nothing: removed
  std::uint64_t generation_ = 0;
};

}  // namespace lafs::cache
