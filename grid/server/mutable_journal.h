// SPDX-License-Identifier: Apache-2.0
#pragma once

// Makes changes of small mutable shares last without a sync for each of them. A changed share goes
// into a journal as a whole; one sync of the journal covers all changes that came together; then
// each share is written over where it lies, which needs no sync any more. Every few seconds, or
// when a journal is full, one sync of the file system makes the shares themselves last, and the
// journal is empty again. There are two journals, so that changes go on meanwhile.
//
// What a kill or a power cut leaves half written or not written at all, replay() puts right. What
// changes a share's files past the journal has to settle() first if it holds() the storage index:
// a replay would undo such a change.
//
// I/O thread; disk work on the pool, never more than one piece beside the settling one.

#include <deque>
#include <unordered_set>

#include "grid/base/offload.h"
#include "grid/server/disk.h"
#include "grid/server/journal_records.h"
#include "grid/server/share_tree.h"

namespace lafs::grid::storage {

class MutableJournal {
 public:
  // Shares whose file is longer are none of the journal's business.
  static constexpr std::size_t largest_image = 128 << 10;

  // Blocking, before anything else touches the shares: carries out what journals still hold, and
  // empties them. Errc::io and others of the disk.
  static Result<> replay(Disk& disk, const ShareTree& tree);

  // Blocking; after replay(). `disk` and `tree` outlive it.
  // `growth`: bytes by which a journal's file grows when it is full.
  static Result<std::unique_ptr<MutableJournal>> open(asio::any_io_executor executor, Pool& pool,
                                                      Disk& disk, const ShareTree& tree,
                                                      std::uint64_t growth);
  // After close().
  ~MutableJournal() = default;

  // The shares are these, and stay so whatever happens, all of them; after an error each may be
  // its old or its new self. The caller has the turn of their storage index.
  Task<Result<>> put(std::vector<ShareImage> images);
  // Whether a replay would write to shares of `si`.
  bool holds(const StorageIndex& si) const;
  // Everything that was put is in the shares for good, and no journal knows of it.
  Task<Result<>> settle();
  // Settles; nothing is put any more.
  Task<> close();

 private:
  struct Half {
    File file;
    std::uint64_t size = 0;  // of the file
    std::uint64_t end = 0;   // of what was written; 0: empty
    std::optional<JournalWriter> writer = {};
    std::unordered_set<StorageIndex> held = {};
  };
  struct Waiting {
    Waiting(const asio::any_io_executor& executor, std::vector<ShareImage> all)
        : images(std::move(all)), done(executor) {}
    std::vector<ShareImage> images;
    Signal done;
    std::optional<Result<>> outcome;
  };
  using Group = std::vector<std::shared_ptr<Waiting>>;

  MutableJournal(asio::any_io_executor executor, Pool& pool, Disk& disk, const ShareTree& tree,
                 std::uint64_t growth, Half first, Half second);
  Task<> write_groups();
  enum class Then : std::uint8_t {
    go_on,
    settle,  // what failed must not stay in the journal
    stop,    // a share is half written, and only the journal knows the whole of it
  };
  // Sets the outcomes.
  Then write_group(Half& half, const Group& group);
  Result<> record_group(Half& half, const Group& group);
  Task<> settle_in_time();
  void stop_for(Error error);

  asio::any_io_executor executor_;
  Pool& pool_;
  Disk& disk_;
  const ShareTree& tree_;
  const std::uint64_t growth_;
  std::array<Half, 2> halves_;
  std::size_t current_ = 0;
  std::uint64_t number_ = 0;  // of the journal begun last
  std::deque<std::shared_ptr<Waiting>> queue_;
  bool writing_groups_ = false;    // write_groups() is running
  bool settling_in_time_ = false;  // settle_in_time() is running
  bool closing_ = false;
  // The disk refused something that must not be refused: nothing is put any more, and what the
  // journals know stays there for replay().
  std::optional<Error> broken_;
  Limiter writing_;   // to the current half, or which one that is
  Limiter settling_;  // one at a time
  Signal hurry_;      // settle_in_time() waits no longer
  TaskGroup background_;
};

}  // namespace lafs::grid::storage
