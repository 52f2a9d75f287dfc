// SPDX-License-Identifier: Apache-2.0
#include "cache/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cassert>

#include "cache/journal_state.h"
#include "grid/base/log.h"
#include "grid/base/process_metrics.h"
#include "grid/crypto/random.h"

namespace lafs::cache {

namespace {

constexpr std::size_t many_files = 64;  // in one group

}  // namespace

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
