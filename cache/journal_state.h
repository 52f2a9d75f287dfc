// SPDX-License-Identifier: Apache-2.0
#pragma once

// What journal.cc (writing) and journal_replay.cc (reading) share; nobody else includes it.

#include <condition_variable>
#include <list>
#include <mutex>
#include <set>
#include <thread>

#include "cache/journal.h"
#include "cache/journal_format.h"

namespace lafs::cache {

inline constexpr std::string_view segment_suffix = ".journal";

// A file of the ring that holds records, oldest first; the newest is the one written to.
struct Segment {
  std::shared_ptr<DiskFile> file;
  SegmentHeader header;
  Sequence last = 0;        // 0: it holds none
  std::uint64_t bytes = 0;  // of records
  bool put_aside = false;   // its bytes are kept for a person: not to be written over
};

struct Journal::Dirty::Set {
  std::mutex mutex;
  // What the syncer takes with the next group, always together with `appended`.
  std::set<std::shared_ptr<DiskFile>> files;
  std::set<std::string> directories;
  std::set<std::shared_ptr<DiskFile>> segments;
  Sequence appended = 0;
};

struct Journal::State : std::enable_shared_from_this<Journal::State> {
  State(asio::any_io_executor e, Disk& d, Options o)
      : executor(e), disk(d), options(std::move(o)), changed(e) {}

  Result<> scan();
  struct Reading;
  Result<ReplayReport> replay(Sequence covered, const Deliver& deliver,
                              const Deliver& after_damage);
  Result<Bytes> load(const Segment& segment) const;
  Result<> read(Segment& segment, Sequence end, bool newest, Reading& reading,
                const Deliver& deliver);
  Result<std::shared_ptr<DiskFile>> spare_file();
  Result<std::shared_ptr<DiskFile>> make_file();
  Result<> open_segment();
  Result<Sequence> append(ByteView payload);
  void put_aside(Segment& segment);
  void run();
  std::size_t spares() {
    const std::lock_guard lock(set->mutex);
    return spare.size();
  }
  // What is synced together, taken in one moment.
  struct Group {
    std::set<std::shared_ptr<DiskFile>> files;
    std::set<std::string> directories;
    std::set<std::shared_ptr<DiskFile>> segments;
    std::shared_ptr<DiskFile> marked;
    std::shared_ptr<SegmentWriter> marker;
    Sequence before = 0, upto = 0;
  };
  Result<> sync_group(const Group& group);
  void stop();

  const asio::any_io_executor executor;
  Disk& disk;
  const Options options;

  // --- the I/O thread's
  int lock_fd = -1;
  std::list<Segment> segments;
  std::list<Segment> unreadable;          // used, but their headers do not open
  std::unique_ptr<SegmentWriter> writer;  // of segments.back(); null: the next append opens one
  std::uint64_t offset = 0;               // where its next record goes
  std::uint64_t next_generation = 1;
  std::uint64_t next_name = 1;
  Sequence covered = 0;
  bool replayed = false;
  bool needs_checkpoint = false;  // after damage
  bool closed = false;
  Bytes scratch;
  Signal changed;  // the syncer has news

  // --- shared with the syncer, under dirty->set_->mutex
  std::shared_ptr<Dirty> dirty = std::make_shared<Dirty>();
  std::shared_ptr<Dirty::Set> set;
  std::condition_variable wake;
  std::list<std::shared_ptr<DiskFile>> spare;  // ready to be written to
  std::shared_ptr<DiskFile> marked;            // where the syncer says what it has synced
  std::shared_ptr<SegmentWriter> marker;
  bool want_spare = false;
  bool sync_everything = false;  // what the former life of this journal wrote
  bool urgent = false;
  bool stopping = false;
  bool asleep = true;  // the syncer waits for the first record of a group
  Sequence synced = 0;
  std::optional<Error> broken;
  std::size_t waiters = 0;
  std::uint64_t groups = 0;

  std::thread syncer;
};

}  // namespace lafs::cache
