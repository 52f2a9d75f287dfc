// SPDX-License-Identifier: Apache-2.0
#include "cache/read_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "cache/sealer.h"
#include "cache/segment_store.h"
#include "grid/base/log.h"
#include "grid/caps/keys.h"
#include "grid/caps/tags.h"

namespace lafs::cache {

namespace {

using SteadyClock = std::chrono::steady_clock;

// What is to be written waits so long for more of it.
constexpr auto gather = std::chrono::milliseconds(100);
// A directory that changes all the time is not written all the time.
constexpr auto between_listings = std::chrono::seconds(2);
constexpr std::size_t hand_over_uses = 512;
constexpr auto hand_over_after = std::chrono::seconds(10);
constexpr std::size_t version_size = 40;

}  // namespace

struct ReadCache::State {
  explicit State(Options o)
      : options(std::move(o)),
        key(grid::cache_key(grid::tags::cache_listing, options.node_secret)) {}

  Result<> open();
  Result<> open_listings();
  Bytes name_of(std::string_view cap) const {
    return to_bytes(
        grid::tagged_pair_hash(grid::tags::cache_name, options.node_secret.view(), as_bytes(cap)));
  }
  void note_use(const Segments::Key& k);
  void run();
  void write_listings(std::map<Bytes, NewSnapshot> due);
  std::uint64_t waiting() const { return queued_bytes; }

  const Options options;
  const grid::Key16 key;
  Disk disk;
  std::unique_ptr<SegmentStore> segments;
  std::unique_ptr<Database> listings;
  MDB_dbi table = 0;

  // --- the I/O thread's
  std::unordered_map<Segments::Key, bool, std::size_t (*)(const Segments::Key&)> used{
      16, [](const Segments::Key& k) {
        return std::hash<grid::StorageIndex>()(k.file) ^ (k.segment.value * 0x9e3779b97f4a7c15u);
      }};
  SteadyClock::time_point handed_over = SteadyClock::now();
  std::uint64_t hits = 0, misses = 0;

  // --- shared with the writer
  std::mutex mutex;
  std::condition_variable wake, settled;
  SegmentStore::Batch batch;
  std::uint64_t queued_bytes = 0;
  std::map<Bytes, NewSnapshot> changed;  // by name_of()
  std::map<Bytes, SteadyClock::time_point> written;
  bool hurry = false, stopping = false, writing = false;
  std::uint64_t damaged = 0, left_out = 0;

  std::thread writer;
};

ReadCache::ReadCache(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<> ReadCache::State::open_listings() {
  const auto path = options.directory + "/listings.mdb";
  TRY(db, Database::open(path, {.map_bytes = options.listing_bytes}));
  TRY(dbi, db->database("listings"));
  listings = std::move(db);
  table = dbi;
  return {};
}

Result<> ReadCache::State::open() {
  TRY_DO(disk.make_directory(options.directory));
  TRY(store, SegmentStore::open(disk, {.directory = options.directory,
                                       .most_bytes = options.segment_bytes,
                                       .min_free = options.min_free}));
  segments = std::move(store);
  auto opened = segments->after_a_crash()
                    ? Database::check(options.directory + "/listings.mdb", options.listing_bytes)
                    : Result<>();
  if (opened) opened = open_listings();
  if (!opened && opened.error().code == Errc::corrupt) {
    log::warning("the cached listings are thrown away: " + opened.error().message());
    const auto path = options.directory + "/listings.mdb";
    ::unlink(path.c_str());
    ::unlink((path + "-lock").c_str());
    opened = open_listings();
  }
  return opened;
}

Result<std::unique_ptr<ReadCache>> ReadCache::open(Options options) {
  auto state = std::make_unique<State>(std::move(options));
  TRY_DO(state->open());
  state->writer = std::thread([s = state.get()] { s->run(); });
  return std::unique_ptr<ReadCache>(new ReadCache(std::move(state)));
}

ReadCache::~ReadCache() {
  if (!state_->writer.joinable()) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->wake.notify_one();
  }
  state_->writer.join();
}

void ReadCache::State::note_use(const Segments::Key& k) {
  used.try_emplace(k, true);
  if (used.size() < hand_over_uses && SteadyClock::now() - handed_over < hand_over_after) return;
  const std::lock_guard lock(mutex);
  for (const auto& [key_used, yes] : used)
    if (batch.used.size() < 64 * hand_over_uses) batch.used.push_back(key_used);
  used.clear();
  handed_over = SteadyClock::now();
  wake.notify_one();
}

bool ReadCache::segment(const Segments::Key& key, const std::function<void(ByteView)>& look) {
  auto& s = *state_;
  switch (s.segments->find(key, look)) {
    case SegmentStore::Found::yes:
      ++s.hits;
      s.note_use(key);
      return true;
    case SegmentStore::Found::no:
      ++s.misses;
      return false;
    case SegmentStore::Found::damaged:
      break;
  }
  ++s.misses;
  log::warning("a cached segment of " + key.file.text() + " is damaged and thrown away");
  const std::lock_guard lock(s.mutex);
  ++s.damaged;
  s.batch.damaged.push_back(key);
  s.wake.notify_one();
  return false;
}

bool ReadCache::has_segment(const Segments::Key& key) { return state_->segments->has(key); }

void ReadCache::keep_segment(const Segments::Key& key, Segments::Data data) {
  auto& s = *state_;
  if (data->empty()) return;
  const std::lock_guard lock(s.mutex);
  if (s.queued_bytes + data->size() > s.options.queue_bytes) {
    ++s.left_out;
    return;
  }
  s.queued_bytes += data->size();
  s.batch.segments.emplace_back(key, std::move(data));
  s.wake.notify_one();
}

std::optional<CachedFile> ReadCache::file(const grid::StorageIndex& name) {
  return state_->segments->file(name);
}

void ReadCache::keep_file(const grid::StorageIndex& name, const CachedFile& file) {
  const std::lock_guard lock(state_->mutex);
  state_->batch.files.emplace_back(name, file);
  state_->wake.notify_one();
}

std::optional<ReadCache::Snapshot> ReadCache::listing(std::string_view cap) {
  auto& s = *state_;
  const auto name = s.name_of(cap);
  auto txn = s.listings->read();
  if (!txn) return std::nullopt;
  const auto sealed = txn->get(s.table, name);
  if (!sealed || !*sealed) return std::nullopt;
  auto bytes = Sealer(s.key).open_with_nonce(name, **sealed);
  if (!bytes || bytes->size() < version_size) {
    log::warning("a cached listing is damaged and not used");
    const std::lock_guard lock(s.mutex);
    ++s.damaged;
    return std::nullopt;
  }
  Snapshot out;
  out.seqnum = get_be<std::uint64_t>(bytes->data());
  std::copy_n(bytes->begin() + 8, out.root_hash.size(), out.root_hash.begin());
  bytes->erase(bytes->begin(), bytes->begin() + version_size);
  out.table = std::move(*bytes);
  return out;
}

void ReadCache::keep_listing(std::string_view cap, NewSnapshot snapshot) {
  auto name = state_->name_of(cap);
  const std::lock_guard lock(state_->mutex);
  state_->changed[std::move(name)] = std::move(snapshot);
  state_->wake.notify_one();
}

void ReadCache::State::write_listings(std::map<Bytes, NewSnapshot> due) {
  Sealer sealer(key);
  const auto write = [&]() -> Result<> {
    TRY(txn, listings->write());
    for (const auto& [name, snapshot] : due) {
      Bytes plain(version_size);
      put_be<std::uint64_t>(plain.data(), snapshot.seqnum);
      std::ranges::copy(snapshot.root_hash, plain.begin() + 8);
      append(plain, *snapshot.table);
      const auto sealed = sealer.seal_with_nonce(name, plain);
      TRY_DO(txn.put(table, name, sealed));
    }
    return txn.commit();
  };
  auto done = write();
  if (!done && done.error().code == Errc::no_space) {  // all of it can be had again
    auto clear = [&]() -> Result<> {
      TRY(txn, listings->write());
      TRY_DO(txn.clear(table));
      return txn.commit();
    };
    done = clear();
    if (done) done = write();
  }
  if (!done) log::warning("listings are not kept: " + done.error().message());
}

void ReadCache::State::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    const auto work = [&] {
      return !batch.segments.empty() || !batch.files.empty() || !batch.used.empty() ||
             !batch.damaged.empty();
    };
    // Listings that may be written now, and when the next may.
    auto next_listing = SteadyClock::time_point::max();
    const auto now = SteadyClock::now();
    std::map<Bytes, NewSnapshot> due;
    for (auto it = changed.begin(); it != changed.end();) {
      const auto last = written.find(it->first);
      const auto when = last == written.end() ? now : last->second + between_listings;
      if (when <= now || hurry || stopping) {
        due.insert(changed.extract(it++));
      } else {
        next_listing = std::min(next_listing, when);
        ++it;
      }
    }
    if (!work() && due.empty()) {
      hurry = false;
      settled.notify_all();
      if (stopping) return;
      if (next_listing == SteadyClock::time_point::max()) {
        written.clear();
        wake.wait(lock);
      } else {
        wake.wait_until(lock, next_listing);
      }
      continue;
    }
    if (!hurry && !stopping && queued_bytes < options.queue_bytes / 4)
      wake.wait_for(lock, gather, [&] { return hurry || stopping; });
    auto taken = std::exchange(batch, {});
    writing = true;
    lock.unlock();
    std::size_t refused = 0;
    if (!taken.segments.empty() || !taken.files.empty() || !taken.used.empty() ||
        !taken.damaged.empty()) {
      auto done = segments->write(taken);
      if (!done) log::warning("segments are not kept: " + done.error().message());
      refused = done ? *done : taken.segments.size();
    }
    if (!due.empty()) {
      for (const auto& [name, snapshot] : due) written[name] = SteadyClock::now();
      write_listings(std::move(due));
    }
    lock.lock();
    writing = false;
    left_out += refused;
    for (const auto& [k, data] : taken.segments) queued_bytes -= data->size();
  }
}

void ReadCache::settle() {
  std::unique_lock lock(state_->mutex);
  state_->hurry = true;
  state_->wake.notify_one();
  state_->settled.wait(lock, [&] { return !state_->hurry; });
}

ReadCache::Use ReadCache::use() {
  auto& s = *state_;
  const auto stored = s.segments->use();
  Use out{.segment_bytes = stored.bytes,
          .segment_limit = s.options.segment_bytes,
          .segments = stored.segments,
          .on_disk = stored.on_disk,
          .hits = s.hits,
          .misses = s.misses};
  if (auto txn = s.listings->read()) out.listings = txn->entries(s.table).value_or(0);
  struct stat facts;
  if (::stat(s.listings->path().c_str(), &facts) == 0)
    out.on_disk += static_cast<std::uint64_t>(facts.st_blocks) * 512;
  const std::lock_guard lock(s.mutex);
  out.damaged = s.damaged;
  out.left_out = s.left_out;
  return out;
}

}  // namespace lafs::cache
