// SPDX-License-Identifier: Apache-2.0
#pragma once

// The journal: what was acknowledged and is not yet in the store's checkpoint, in order. Files of a
// fixed size, preallocated and overwritten in place (docs/formats/journal.md).
//
//   append()  writes the record before it returns, so no crash of the process can take it;
//   synced()  waits until no loss of power can take it.
//
// A syncer on its own thread syncs at most `delay` after an append, at once when somebody waits:
// first the staging files written since, then the journal. Records that reached the disk although
// their data did not (the system wrote them earlier than asked) are left out by replay(). Nothing
// happens while nothing is appended.
//
// Appends, synced() and checkpoint() are for the I/O thread. close() it first.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "cache/disk.h"
#include "grid/base/task.h"
#include "grid/crypto/secret.h"

namespace lafs::cache {

// Numbers records from 1, without gaps; 0 is before the first.
using Sequence = std::uint64_t;

// What replay() found.
struct ReplayReport {
  std::uint64_t records = 0;  // delivered in order
  Sequence last = 0;          // of them; 0 when there were none
  // What a checkpoint made now covers, and the number after which append() goes on.
  Sequence position = 0;
  // The last record was being written when the power went or the process died: ordinary.
  bool torn_tail = false;
  // Records that were written but not synced when the power went: left out.
  std::uint64_t unsynced = 0;
  // Records that had been synced are not readable, or are gone; `damage` says what and where for
  // a person. The files that hold them were put aside under the name that it tells.
  bool damaged = false;
  std::string damage;
  std::uint64_t intact_after = 0;  // records after the damage, which were given to `after_damage`
};

class Journal {
 public:
  struct Options {
    std::string directory;  // made when it is not there, 0700
    grid::Secret32 node_secret;
    std::uint64_t segment_bytes = 8u << 20;
    std::chrono::microseconds delay{5000};  // longest time that a record is not yet synced
  };
  static constexpr std::size_t most_payload = 1u << 20;

  using Deliver = std::function<Result<>(Sequence, ByteView payload)>;

  // Opens and locks the directory: Errc::busy when another process has it. Records are not read
  // before replay().
  static Result<std::unique_ptr<Journal>> open(asio::any_io_executor executor, Disk& disk,
                                               Options options);
  ~Journal();

  // Call once, before the first append. Hands over every record after `covered` (the position of
  // the checkpoint) in order, up to the first bad one. Records behind a damaged part are handed to
  // `after_damage`, which may save what makes sense without those that are missing; then make a
  // checkpoint of what was saved, before which append() refuses. An error of `deliver` ends it.
  // Blocking.
  Result<ReplayReport> replay(Sequence covered, const Deliver& deliver,
                              const Deliver& after_damage = {});

  // The record is in the file when this returns, under the next number. Errc::no_space, io;
  // too_large above most_payload. Nothing was appended then.
  Result<Sequence> append(ByteView payload);
  // Until everything up to `sequence` lasts. An error of the disk is told to all who wait, and to
  // every later append: what was written before is still readable, but may not last.
  Task<Result<>> synced(Sequence sequence);
  Task<Result<>> sync() { return synced(last()); }

  Sequence last() const;          // the newest appended
  Sequence last_synced() const;   // the newest that lasts
  Sequence checkpointed() const;  // as last told

  // Records up to `sequence` are in the store's checkpoint and not needed any more. (Before that
  // checkpoint was made, they were waited for with synced(): it must not outlive their data.)
  Result<> checkpoint(Sequence sequence);

  struct Use {
    std::uint64_t bytes = 0;    // of records after the checkpoint
    std::uint64_t on_disk = 0;  // of files
    std::uint64_t groups = 0;   // syncs done
  };
  Use use() const;

  // Data that records will speak of: synced before the next group of records is. Thread-safe.
  class Dirty;
  const std::shared_ptr<Dirty>& dirty() const;

  // Syncs what is there and stops the syncer.
  Task<Result<>> close();

 private:
  struct State;
  explicit Journal(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // the syncer has a share of it
};

// The files written since the last group. A file is in it once.
class Journal::Dirty {
 public:
  void add(std::shared_ptr<DiskFile> file);
  // A name was made in this directory.
  void add_directory(const std::string& path);
  // How many wait: each is kept open until it is synced.
  std::size_t files() const;

 private:
  friend class Journal;
  struct Set;
  std::shared_ptr<Set> set_;
};

}  // namespace lafs::cache
