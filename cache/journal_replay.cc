// SPDX-License-Identifier: Apache-2.0

// Journal: what is found at the start.

#include <unistd.h>

#include <cassert>

#include "cache/journal_state.h"
#include "grid/base/log.h"

namespace lafs::cache {

namespace {

// The beginning of what was to be record `sequence`.
bool record_begins(ByteView head, Sequence sequence) {
  return as_text(head.first(4)) == "rec1" && get_be<std::uint64_t>(head.data() + 8) == sequence;
}

}  // namespace

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

}  // namespace lafs::cache
