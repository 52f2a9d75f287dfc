// SPDX-License-Identifier: Apache-2.0
#include "cache/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cassert>
#include <condition_variable>
#include <list>
#include <mutex>
#include <set>
#include <thread>

#include "cache/journal_format.h"
#include "grid/base/log.h"
#include "grid/base/process_metrics.h"
#include "grid/crypto/random.h"

namespace lafs::cache {

namespace {

constexpr std::string_view segment_suffix = ".journal";
constexpr std::size_t many_files = 64;  // in one group

// The beginning of what was to be record `sequence`.
bool record_begins(ByteView head, Sequence sequence) {
  return as_text(head.first(4)) == "rec1" && get_be<std::uint64_t>(head.data() + 8) == sequence;
}

// A file of the ring that holds records, oldest first; the newest is the one written to.
struct Segment {
  std::shared_ptr<DiskFile> file;
  SegmentHeader header;
  Sequence last = 0;        // 0: it holds none
  std::uint64_t bytes = 0;  // of records
  bool put_aside = false;   // its bytes are kept for a person: not to be written over
};

}  // namespace

struct Journal::Dirty::Set {
  std::mutex mutex;
  // What the syncer takes with the next group, always together with `appended`.
  std::set<std::shared_ptr<DiskFile>> files;
  std::set<std::string> directories;
  std::set<std::shared_ptr<DiskFile>> segments;
  Sequence appended = 0;
};

void Journal::Dirty::add(std::shared_ptr<DiskFile> file) {
  const std::lock_guard lock(set_->mutex);
  set_->files.insert(std::move(file));
}

void Journal::Dirty::add_directory(const std::string& path) {
  const std::lock_guard lock(set_->mutex);
  set_->directories.insert(path);
}

std::size_t Journal::Dirty::files() const {
  const std::lock_guard lock(set_->mutex);
  return set_->files.size();
}

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

Journal::Journal(std::shared_ptr<State> state) : state_(std::move(state)) {}

Journal::~Journal() { state_->stop(); }

Result<std::unique_ptr<Journal>> Journal::open(asio::any_io_executor executor, Disk& disk,
                                               Options options) {
  options.segment_bytes = std::max<std::uint64_t>(options.segment_bytes,
                                                  segment_header_size + record_size(most_payload));
  auto state = std::make_shared<State>(std::move(executor), disk, std::move(options));
  state->set = std::make_shared<Dirty::Set>();
  state->dirty->set_ = state->set;
  const auto& directory = state->options.directory;
  TRY_DO(disk.make_directory(directory));
  state->lock_fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (state->lock_fd < 0) return fail(Errc::io, "cannot open " + directory);
  if (::flock(state->lock_fd, LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::busy, "the journal " + directory +
                                " is in use by another lafs: is this node mounted already?");
  TRY_DO(state->scan());
  return std::unique_ptr<Journal>(new Journal(std::move(state)));
}

// Finds the segments and puts them in order; files that are none are spares.
Result<> Journal::State::scan() {
  TRY(names, disk.names_in(options.directory));
  for (const auto& name : names) {
    if (!name.ends_with(segment_suffix)) continue;
    std::uint64_t number = 0;
    for (const char c : name.substr(0, name.size() - segment_suffix.size())) {
      if (c < '0' || c > '9') break;
      number = number * 10 + static_cast<std::uint64_t>(c - '0');
    }
    next_name = std::max(next_name, number + 1);
    TRY(file, disk.open(options.directory + "/" + name, Disk::Open::existing));
    TRY(size, file->size());
    Bytes head(segment_header_size);
    TRY(got, file->read(0, head));
    const auto header =
        got == head.size() ? read_segment_header(head, options.node_secret) : std::nullopt;
    if (header) {
      segments.push_back({.file = file, .header = *header});
      next_generation = std::max(next_generation, header->generation + 1);
    } else if (std::ranges::any_of(head, [](auto b) { return b != 0; })) {
      // A header is one sector: it is not left half written.
      unreadable.push_back({.file = file, .header = {.generation = number}});
    } else if (size == options.segment_bytes) {
      spare.push_back(file);
    } else {
      TRY_DO(disk.unlink(file->path()));  // was being made
    }
  }
  segments.sort(
      [](const Segment& a, const Segment& b) { return a.header.generation < b.header.generation; });
  return {};
}

void Journal::State::put_aside(Segment& segment) {
  if (segment.put_aside) return;
  segment.put_aside = true;
  const auto& path = segment.file->path();
  const auto name = path.substr(0, path.size() - segment_suffix.size()) + ".damaged-" +
                    std::to_string(segment.header.generation);
  if (::link(path.c_str(), name.c_str()) != 0 && errno != EEXIST)
    log::error("cannot keep a copy of " + path);
}

// One pass over the segments, oldest first. What it learns:
struct Journal::State::Reading {
  Sequence next = 1;                              // to be delivered
  Sequence known_synced = 0;                      // by any place that says so
  Sequence highest = 0;                           // number seen anywhere
  Sequence data_synced = 0;                       // what these records speak of is on the disk
  std::string stopped;                            // where the order broke; empty: nowhere
  bool unsynced = false;                          // it is where the unsynced records begin
  std::vector<std::pair<Sequence, Bytes>> later;  // intact records behind that
  std::vector<Segment*> doubtful;                 // that hold something unreadable
  ReplayReport report;

  void stop(std::string where) {
    if (stopped.empty()) stopped = std::move(where);
  }
};

Result<Bytes> Journal::State::load(const Segment& segment) const {
  TRY(size, segment.file->size());
  Bytes bytes(std::min(size, options.segment_bytes));
  TRY(got, segment.file->read(0, bytes));
  bytes.resize(got);
  return bytes;
}

// `end`: the number at which a newer segment goes on.
Result<> Journal::State::read(Segment& segment, Sequence end, bool newest, Reading& reading,
                              const Deliver& deliver) {
  TRY(bytes, load(segment));
  const auto& path = segment.file->path();
  // After a loss of power only what is known to be whole counts: data that a record speaks of may
  // be missing. After the death of the process nothing is.
  const bool all = segment.header.boot == disk.boot();
  SegmentReader reader(bytes, segment.header, options.node_secret);
  auto take = [&](SegmentReader::Record& record) -> Result<> {
    reading.known_synced = std::max(reading.known_synced, record.synced);
    reading.highest = std::max(reading.highest, record.sequence);
    segment.last = std::max(segment.last, record.sequence);
    if (record.sequence < reading.next) return {};
    if (!all && record.sequence > reading.data_synced) {
      ++reading.report.unsynced;
      reading.unsynced = reading.unsynced || reading.stopped.empty();
      reading.stop(path + ": records from number " + std::to_string(record.sequence) +
                   " on were not synced");
      return {};
    }
    if (!reading.stopped.empty()) {
      reading.later.emplace_back(record.sequence, std::move(record.payload));
      return {};
    }
    TRY_DO(deliver(record.sequence, record.payload));
    ++reading.report.records;
    reading.report.last = record.sequence;
    reading.next = record.sequence + 1;
    return {};
  };

  segment.last = segment.header.first - 1;
  if (segment.header.first > reading.next && reading.stopped.empty()) {
    // A file is gone. Its name was synced before it was used, so no loss of power explains that.
    reading.stop(path + ": the records before it, from number " + std::to_string(reading.next) +
                 ", are missing");
    reading.known_synced = std::max(reading.known_synced, segment.header.first - 1);
  }
  while (reader.expected() < end) {
    auto record = reader.next();
    if (!record) break;
    TRY_DO(take(*record));
  }
  segment.bytes = reader.offset();
  const auto bad = reader.expected();
  if (bad >= end) return {};
  // The end of the newest segment, a record that was being written, or damage: what comes behind
  // it tells. What is left of a former use of the file has smaller numbers.
  const auto at = reader.offset();
  const auto head = slice(bytes, at, record_header_size);
  bool torn = !newest || (head && record_begins(*head, bad));
  const auto resume = reading.next;
  const auto before = reading.stopped;
  reading.stop(path + ": record " + std::to_string(bad) + " at byte " + std::to_string(at) +
               " cannot be read");
  while (auto record = reader.next_intact()) {
    if (record->sequence >= end) break;
    torn = true;
    TRY_DO(take(*record));
  }
  reading.doubtful.push_back(&segment);
  // The ordinary end.
  if (!torn && newest && reading.next == resume) {
    reading.stopped = before;
    // Unless the last of it is known to have been there.
    if (reading.known_synced >= bad && before.empty())
      reading.stop(path + ": records from number " + std::to_string(bad) + " on are missing");
  }
  reading.report.torn_tail = torn;
  return {};
}

Result<ReplayReport> Journal::State::replay(Sequence upto, const Deliver& deliver,
                                            const Deliver& after_damage) {
  assert(!replayed);
  replayed = true;
  covered = upto;
  Reading reading;
  reading.next = covered + 1;
  reading.known_synced = reading.highest = covered;
  const bool nothing_there = segments.empty() && spare.empty() && unreadable.empty();
  if (nothing_there && covered > 0) {
    reading.stop(options.directory + ": the journal's files are gone");
    reading.known_synced = reading.next;
  }
  if (!segments.empty() && segments.back().header.covered > covered) {
    // Its records speak of things that only the lost store knew.
    reading.stop("the store is older than the journal (it covers " + std::to_string(covered) +
                 " of " + std::to_string(segments.back().header.covered) + " records)");
    reading.known_synced = segments.back().header.covered;
  }

  for (const auto& segment : segments) {
    Bytes head(segment_header_size);
    TRY(got, segment.file->read(0, head));
    head.resize(got);
    const auto mark = SegmentReader(head, segment.header, options.node_secret).mark();
    reading.known_synced = std::max(reading.known_synced, mark.records);
    reading.data_synced = std::max(reading.data_synced, mark.data);
  }
  for (auto it = segments.begin(); it != segments.end(); ++it) {
    // Numbers that were given out again, after a torn tail, are those of the newer segment.
    Sequence end = UINT64_MAX;
    for (auto newer = std::next(it); newer != segments.end(); ++newer)
      end = std::min(end, newer->header.first);
    it->last = end - 1;
    // All that it holds is covered, and may be half overwritten; or was given out again.
    if (end <= covered + 1 || end <= it->header.first) continue;
    TRY_DO(read(*it, end, std::next(it) == segments.end(), reading, deliver));
  }
  if (!segments.empty())
    reading.highest = std::max(reading.highest, segments.back().header.first - 1);
  auto& report = reading.report;

  if (reading.stopped.empty() || reading.unsynced || reading.known_synced < reading.next) {
    // What follows a torn record was never promised: its numbers are given out again.
    report.position = reading.next - 1;
  } else {
    report.damaged = true;
    report.torn_tail = false;
    report.damage = reading.stopped;
    for (auto* segment : reading.doubtful) put_aside(*segment);
    report.position = std::max(reading.highest, reading.known_synced);
    for (const auto& [sequence, payload] : reading.later) {
      if (!after_damage) break;
      TRY_DO(after_damage(sequence, payload));
      ++report.intact_after;
    }
  }
  if (!unreadable.empty()) {
    report.damaged = true;
    for (auto& segment : unreadable) {
      put_aside(segment);
      report.damage += (report.damage.empty() ? "" : "; ") + segment.file->path() +
                       ": the header cannot be read";
    }
  }
  needs_checkpoint = report.damaged;
  {
    const std::lock_guard lock(set->mutex);
    set->appended = report.position;
    // If only the process died, what it wrote need not be on the disk yet.
    sync_everything = report.records > 0 || report.damaged;
    synced = sync_everything ? covered : report.position;
    if (sync_everything && !segments.empty()) {
      marked = segments.back().file;
      marker = std::make_shared<SegmentWriter>(segments.back().header, options.node_secret);
      set->segments.insert(marked);
    }
  }
  syncer = std::thread([self = shared_from_this()] { self->run(); });
  return report;
}

// A file of full size, its blocks written, so that overwriting it changes no metadata.
Result<std::shared_ptr<DiskFile>> Journal::State::make_file() {
  std::uint64_t number;
  {
    const std::lock_guard lock(set->mutex);
    number = next_name++;
  }
  auto name = std::to_string(number);
  if (name.size() < 6) name.insert(0, 6 - name.size(), '0');
  const auto path = options.directory + "/" + name + std::string(segment_suffix);
  TRY(file, disk.open(path, Disk::Open::create_new));
  const auto fill = [&]() -> Result<> {
    TRY_DO(file->allocate(options.segment_bytes));
    const Bytes zeros(1u << 20);
    for (std::uint64_t at = 0; at < options.segment_bytes; at += zeros.size())
      TRY_DO(file->write(at, ByteView(zeros).first(std::min<std::uint64_t>(
                                 zeros.size(), options.segment_bytes - at))));
    TRY_DO(file->sync());
    return disk.sync_directory(options.directory);
  };
  if (auto filled = fill(); !filled) {
    auto removed = disk.unlink(path);
    return std::unexpected(std::move(filled.error()));
  }
  return file;
}

Result<std::shared_ptr<DiskFile>> Journal::State::spare_file() {
  {
    const std::lock_guard lock(set->mutex);
    if (!spare.empty()) {
      auto file = std::move(spare.front());
      spare.pop_front();
      return file;
    }
  }
  return make_file();
}

Result<> Journal::State::open_segment() {
  TRY(file, spare_file());
  const SegmentHeader header{next_generation++, set->appended + 1, covered,
                             grid::random_array<16>(), disk.boot()};
  auto fresh = std::make_shared<SegmentWriter>(header, options.node_secret);
  if (auto written = file->write(0, fresh->header()); !written) {
    const std::lock_guard lock(set->mutex);
    spare.push_back(std::move(file));
    return written;
  }
  segments.push_back({.file = file, .header = header, .last = header.first - 1});
  writer = std::make_unique<SegmentWriter>(header, options.node_secret);
  offset = segment_header_size;
  const std::lock_guard lock(set->mutex);
  set->segments.insert(file);
  marked = file;
  marker = std::move(fresh);
  want_spare = spare.empty();
  return {};
}

namespace {
struct Figures {
  metrics::Registry& all = metrics::of_process();
  metrics::Counter& records = all.counter("lafs_journal_records_total", "Records written.");
  metrics::Counter& bytes = all.counter("lafs_journal_bytes_total", "Bytes of records written.");
  metrics::Histogram& syncs =
      all.histogram("lafs_journal_sync_seconds", "How long syncing a group of records took.",
                    metrics::latency_bounds());
};

// Made by the I/O thread, in append(), before the syncer has anything to do.
Figures& figures() {
  static Figures out;
  return out;
}
}  // namespace

Result<Sequence> Journal::State::append(ByteView payload) {
  assert(replayed);
  if (payload.size() > most_payload) return fail(Errc::too_large, "a journal record");
  if (closed) return fail(Errc::closed, "journal");
  if (needs_checkpoint) return fail(Errc::internal, "a damaged journal needs a checkpoint first");
  Sequence known;
  {
    const std::lock_guard lock(set->mutex);
    if (broken) return std::unexpected(*broken);
    known = synced;
  }
  const auto needed = record_size(payload.size());
  if (!writer || offset + needed > options.segment_bytes) {
    writer.reset();
    TRY_DO(open_segment());
  }
  const auto sequence = set->appended + 1;  // written by this thread alone
  writer->record(sequence, known, payload, scratch);
  auto& segment = segments.back();
  if (auto written = segment.file->write(offset, scratch); !written) {
    // Its number must not be sealed twice with one key: go on in another segment.
    writer.reset();
    return annotate(std::move(written.error()), "journal");
  }
  figures().records.add();
  figures().bytes.add(needed);
  offset += needed;
  segment.last = sequence;
  segment.bytes = offset;
  const std::lock_guard lock(set->mutex);
  set->appended = sequence;
  set->segments.insert(segment.file);
  if (asleep) {
    asleep = false;
    wake.notify_one();
  }
  return sequence;
}

Result<> Journal::State::sync_group(const Group& group) {
  const metrics::Timed timed(figures().syncs);
  if (group.files.size() > many_files) {
    // One by one they would take longer than what else is on the disk.
    TRY_DO(disk.sync_all(options.directory));
  } else {
    // Writing starts for all of them before the first is waited for.
    if (group.files.size() > 1)
      for (const auto& file : group.files)
        ::sync_file_range(file->fd(), 0, 0, SYNC_FILE_RANGE_WRITE);
    for (const auto& file : group.files) TRY_DO(file->sync());
    for (const auto& path : group.directories) TRY_DO(disk.sync_directory(path));
  }
  if (!group.marked) return {};
  // Said before the records are synced, so that it lasts with them.
  TRY_DO(group.marked->write(mark_offset,
                             group.marker->mark({.data = group.upto, .records = group.before})));
  for (const auto& file : group.segments) TRY_DO(file->sync());
  // Helps to tell damage from a torn tail later; lasts with the next group.
  return group.marked->write(mark_offset,
                             group.marker->mark({.data = group.upto, .records = group.upto}));
}

void Journal::State::run() {
  std::unique_lock lock(set->mutex);
  for (;;) {
    if (want_spare && !broken) {
      want_spare = false;
      lock.unlock();
      auto file = make_file();
      lock.lock();
      // A full disk: append() will try again and report it.
      if (file) spare.push_back(std::move(*file));
    }
    if (broken || set->appended <= synced) {
      if (stopping) return;
      asleep = true;
      urgent = false;
      wake.wait(lock, [&] { return stopping || !asleep; });
      asleep = false;
      continue;
    }
    if (!urgent && !stopping)
      wake.wait_for(lock, options.delay, [&] { return urgent || stopping; });
    urgent = false;
    Group group{.files = std::exchange(set->files, {}),
                .directories = std::exchange(set->directories, {}),
                .segments = std::exchange(set->segments, {}),
                .marked = marked,
                .marker = marker,
                .before = synced,
                .upto = set->appended};
    if (marked) group.segments.insert(marked);
    const bool everything = std::exchange(sync_everything, false);
    lock.unlock();
    Result<> done;
    if (everything) done = disk.sync_all(options.directory);
    if (done) done = sync_group(group);
    lock.lock();
    if (done) {
      synced = std::max(synced, group.upto);
      ++groups;
    } else {
      // What a failed sync has lost cannot be known: nothing more is promised.
      broken = annotate(std::move(done.error()), "journal").error();
      log::error("the cache's disk failed, nothing more can be written: " + broken->message());
    }
    if (waiters > 0) asio::post(executor, [self = shared_from_this()] { self->changed.notify(); });
  }
}

void Journal::State::stop() {
  {
    const std::lock_guard lock(set->mutex);
    stopping = true;
    wake.notify_one();
  }
  if (syncer.joinable()) syncer.join();
  if (lock_fd >= 0) ::close(std::exchange(lock_fd, -1));
}

Result<ReplayReport> Journal::replay(Sequence covered, const Deliver& deliver,
                                     const Deliver& after_damage) {
  return state_->replay(covered, deliver, after_damage);
}

Result<Sequence> Journal::append(ByteView payload) { return state_->append(payload); }

Task<Result<>> Journal::synced(Sequence sequence) {
  auto state = state_;
  for (;;) {
    {
      const std::lock_guard lock(state->set->mutex);
      if (state->synced >= sequence) co_return Result<>{};
      if (state->broken) co_return std::unexpected(*state->broken);
      if (state->stopping) co_return fail(Errc::closed, "journal");
      state->urgent = true;
      ++state->waiters;
      state->wake.notify_one();
    }
    co_await state->changed.wait_shielded();
    const std::lock_guard lock(state->set->mutex);
    --state->waiters;
  }
}

Sequence Journal::last() const { return state_->set->appended; }

Sequence Journal::last_synced() const {
  const std::lock_guard lock(state_->set->mutex);
  return state_->synced;
}

Sequence Journal::checkpointed() const { return state_->covered; }

Result<> Journal::checkpoint(Sequence sequence) {
  auto& state = *state_;
  state.covered = std::max(state.covered, sequence);
  state.needs_checkpoint = false;
  for (const auto& segment : std::exchange(state.unreadable, {}))
    TRY_DO(state.disk.unlink(segment.file->path()));
  // The newest stays: it says where the numbers go on.
  while (state.segments.size() > 1 && state.segments.front().last <= state.covered) {
    auto& oldest = state.segments.front();
    if (oldest.put_aside || state.spares() >= 2) {
      TRY_DO(state.disk.unlink(oldest.file->path()));
    } else {
      const std::lock_guard lock(state.set->mutex);
      state.set->segments.erase(oldest.file);
      state.spare.push_back(oldest.file);
    }
    state.segments.pop_front();
  }
  return {};
}

Journal::Use Journal::use() const {
  Use use;
  for (const auto& segment : state_->segments)
    if (segment.last > state_->covered) use.bytes += segment.bytes;
  const std::lock_guard lock(state_->set->mutex);
  use.on_disk = (state_->segments.size() + state_->spare.size()) * state_->options.segment_bytes;
  use.groups = state_->groups;
  return use;
}

const std::shared_ptr<Journal::Dirty>& Journal::dirty() const { return state_->dirty; }

Task<Result<>> Journal::close() {
  auto state = state_;
  state->closed = true;
  Result<> done;
  if (state->replayed) done = co_await synced(state->set->appended);
  state->stop();
  co_return done;
}

}  // namespace lafs::cache
