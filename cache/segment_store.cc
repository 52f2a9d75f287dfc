// SPDX-License-Identifier: Apache-2.0
#include "cache/segment_store.h"

#include <fcntl.h>
#include <isa-l/crc64.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "grid/base/log.h"

namespace lafs::cache {

namespace {

constexpr std::size_t key_size = 24;
constexpr std::size_t head_size = 8;  // before the ciphertext
constexpr std::uint64_t page = 4096;
constexpr std::uint64_t slack = 32u << 20;      // of the map: trees, free pages
constexpr std::size_t most_checked = 1u << 18;  // remembered
constexpr std::uint64_t most_files = 1u << 20;
constexpr std::size_t file_value = 32;
constexpr std::uint64_t coarse_ms = 60'000;  // a use is not written down more often
constexpr std::string_view bytes_key = "bytes";

using RawKey = std::array<std::uint8_t, key_size>;
using OrderKey = std::array<std::uint8_t, 8 + key_size>;

RawKey raw(const Segments::Key& key) {
  RawKey out;
  std::ranges::copy(key.file.bytes, out.begin());
  put_be<std::uint64_t>(out.data() + 16, key.segment.value);
  return out;
}

OrderKey order_key(std::uint64_t stamp, ByteView key) {
  OrderKey out;
  put_be<std::uint64_t>(out.data(), stamp);
  std::ranges::copy(key, out.begin() + 8);
  return out;
}

std::uint64_t crc(ByteView data) { return crc64_ecma_refl(0, data.data(), data.size()); }

std::uint64_t now_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

// What a value takes of the file: it begins on a page of its own.
std::uint64_t cost(std::uint64_t size) { return round_up(size + head_size + 16, page); }

}  // namespace

SegmentStore::SegmentStore(const Disk& disk, Options options)
    : disk_(disk), options_(std::move(options)) {}

Result<> SegmentStore::open_database(const std::string& path) {
  TRY(db, Database::open(path, {.map_bytes = options_.most_bytes / 8 * 9 + slack,
                                .databases = 8,
                                .lasting = false}));
  TRY(data, db->database("data"));
  TRY(uses, db->database("uses"));
  TRY(order, db->database("order"));
  TRY(files, db->database("files"));
  TRY(about, db->database("about"));
  if (const int e = mdb_txn_begin(db->env(), nullptr, MDB_RDONLY, &reader_))
    return lmdb_error(e, "read", path);
  mdb_txn_reset(reader_);
  data_ = data, uses_ = uses, order_ = order, files_ = files, about_ = about;
  db_ = std::move(db);
  return {};
}

Result<std::unique_ptr<SegmentStore>> SegmentStore::open(const Disk& disk, Options options) {
  auto store = std::unique_ptr<SegmentStore>(new SegmentStore(disk, std::move(options)));
  const auto path = store->options_.directory + "/segments.mdb";
  const auto state = store->options_.directory + "/segments.state";
  const int fd = store->state_fd_ = ::open(state.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Errc::io, "cannot open " + state);
  const auto opened = "open " + to_hex(disk.boot());
  const auto map = store->options_.most_bytes / 8 * 9 + slack;
  const bool alone = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  const auto throw_away = [&](const std::string& why) {
    log::warning("the cached segments are thrown away: " + why);
    ::unlink(path.c_str());
    ::unlink((path + "-lock").c_str());
  };
  if (!alone) ::flock(fd, LOCK_SH);  // after whoever decides just now whether to throw it away
  char text[128];
  const auto n = ::pread(fd, text, sizeof text, 0);
  const std::string_view before(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  struct stat facts;
  if (alone && ::stat(path.c_str(), &facts) == 0) {
    store->after_a_crash_ = before != "closed";
    const auto space = disk.space(store->options_.directory);
    if (before != "closed" && before != opened)
      throw_away("the system went down while they were open");
    else if (store->after_a_crash_ && !Database::check(path, map))
      throw_away("their pages are damaged");
    else if (static_cast<std::uint64_t>(facts.st_size) > map)
      throw_away("the cache is to be smaller now");
    else if (space && space->available < store->options_.min_free / 2)
      throw_away("the disk is nearly full");
  }
  if (before != opened &&
      (::ftruncate(fd, 0) != 0 ||
       ::pwrite(fd, opened.data(), opened.size(), 0) != static_cast<ssize_t>(opened.size()) ||
       ::fdatasync(fd) != 0))
    return fail(Errc::io, "cannot write " + state);
  auto result = store->open_database(path);
  if (!result && alone && result.error().code == Errc::corrupt) {
    throw_away(result.error().message());
    result = store->open_database(path);
  }
  if (!result) return std::unexpected(std::move(result.error()));
  ::flock(fd, LOCK_SH);
  return store;
}

SegmentStore::~SegmentStore() {
  if (reader_) mdb_txn_abort(reader_);
  if (db_) {
    auto synced = db_->sync();
    db_.reset();
    // The last one to close says that all is on the disk.
    if (synced && ::flock(state_fd_, LOCK_EX | LOCK_NB) == 0 && ::ftruncate(state_fd_, 0) == 0)
      (void)!::pwrite(state_fd_, "closed", 6, 0);
  }
  if (state_fd_ >= 0) ::close(state_fd_);
}

std::optional<ByteView> SegmentStore::look_up(MDB_dbi dbi, ByteView key) {
  if (mdb_txn_renew(reader_) != 0) return std::nullopt;
  auto k = to_lmdb(key);
  MDB_val value;
  if (mdb_get(reader_, dbi, &k, &value) == 0) return from_lmdb(value);
  done_looking();
  return std::nullopt;
}

void SegmentStore::done_looking() { mdb_txn_reset(reader_); }

SegmentStore::Found SegmentStore::find(const Key& key, const std::function<void(ByteView)>& look) {
  const auto value = look_up(data_, raw(key));
  if (!value) return Found::no;
  auto found = Found::damaged;
  if (value->size() > head_size) {
    const auto data = value->subspan(head_size);
    // Once for each process: after that the bytes stay in memory, or come from the same disk.
    if (checked_.contains(key) || crc(data) == get_be<std::uint64_t>(value->data())) {
      if (checked_.size() >= most_checked) checked_.clear();
      checked_.insert(key);
      look(data);
      found = Found::yes;
    }
  }
  done_looking();
  return found;
}

bool SegmentStore::has(const Key& key) {
  const bool found = look_up(data_, raw(key)).has_value();
  if (found) done_looking();
  return found;
}

std::optional<CachedFile> SegmentStore::file(const grid::StorageIndex& name) {
  const auto value = look_up(files_, name.bytes);
  if (!value) return std::nullopt;
  std::optional<CachedFile> out;
  if (value->size() == file_value) {
    Bytes all = to_bytes(name.bytes);
    append(all, value->first(24));
    if (crc(all) == get_be<std::uint64_t>(value->data() + 24)) {
      out.emplace();
      out->segment_size = get_be<std::uint64_t>(value->data());
      std::copy_n(value->begin() + 8, 16, out->id.bytes.begin());
    }
  }
  done_looking();
  return out;
}

Result<> SegmentStore::forget(Database::Txn& txn, const Key& key, std::uint64_t& bytes) {
  const auto k = raw(key);
  TRY(use, txn.get(uses_, k));
  if (use && use->size() == 16) {
    const auto stamp = get_be<std::uint64_t>(use->data());
    bytes -= std::min(bytes, get_be<std::uint64_t>(use->data() + 8));
    TRY_DO(txn.remove(order_, order_key(stamp, k)));
  }
  TRY_DO(txn.remove(uses_, k));
  TRY_DO(txn.remove(data_, k));
  return {};
}

Result<> SegmentStore::evict(Database::Txn& txn, std::uint64_t& bytes, std::uint64_t limit) {
  while (bytes > limit) {
    // A few at a time: the cursor does not outlive what it points at.
    std::vector<Key> oldest;
    TRY_DO(txn.each(order_, {}, [&](ByteView key, ByteView) -> Result<bool> {
      if (key.size() != 8 + key_size) return fail(Errc::corrupt, "order of segments");
      Key k;
      std::copy_n(key.begin() + 8, 16, k.file.bytes.begin());
      k.segment.value = get_be<std::uint64_t>(key.data() + 24);
      oldest.push_back(k);
      return oldest.size() < 64;
    }));
    if (oldest.empty()) {
      bytes = 0;
      return {};
    }
    for (const auto& key : oldest) {
      if (bytes <= limit) break;
      TRY_DO(forget(txn, key, bytes));
    }
  }
  return {};
}

Result<std::size_t> SegmentStore::write_once(const Batch& batch, std::uint64_t limit) {
  std::size_t left_out = 0;
  TRY(txn, db_->write());
  std::uint64_t bytes = 0;
  TRY(sum, txn.get(about_, as_bytes(bytes_key)));
  if (sum && sum->size() == 8) bytes = get_be<std::uint64_t>(sum->data());

  // Below the minimum of free space nothing grows: the new takes the place of the old.
  if (const auto space = disk_.space(options_.directory);
      space && space->available < options_.min_free)
    limit = std::min(limit, bytes);
  for (const auto& key : batch.damaged) TRY_DO(forget(txn, key, bytes));
  std::uint64_t coming = 0;
  for (const auto& [key, data] : batch.segments) coming += cost(data->size());
  TRY_DO(evict(txn, bytes, limit > coming ? limit - coming : 0));

  const auto now = now_ms();
  for (const auto& [key, data] : batch.segments) {
    const auto k = raw(key);
    const auto size = cost(data->size());
    if (bytes + size > limit) {
      ++left_out;
      continue;
    }
    TRY(there, txn.get(uses_, k));
    if (there) continue;  // another process was quicker
    TRY(room, txn.reserve(data_, k, head_size + data->size()));
    put_be<std::uint64_t>(room.data(), crc(*data));
    std::ranges::copy(*data, room.begin() + head_size);
    std::uint8_t use[16];
    put_be<std::uint64_t>(use, now);
    put_be<std::uint64_t>(use + 8, size);
    TRY_DO(txn.put(uses_, k, use));
    TRY_DO(txn.put(order_, order_key(now, k), ByteView(use).subspan(8)));
    bytes += size;
  }
  for (const auto& key : batch.used) {
    const auto k = raw(key);
    TRY(use, txn.get(uses_, k));
    if (!use || use->size() != 16) continue;
    const auto before = get_be<std::uint64_t>(use->data());
    if (before + coarse_ms > now) continue;
    std::uint8_t fresh[16];
    put_be<std::uint64_t>(fresh, now);
    std::copy_n(use->begin() + 8, 8, fresh + 8);
    TRY_DO(txn.remove(order_, order_key(before, k)));
    TRY_DO(txn.put(order_, order_key(now, k), ByteView(fresh).subspan(8)));
    TRY_DO(txn.put(uses_, k, fresh));
  }
  if (!batch.files.empty()) {
    TRY(count, txn.entries(files_));
    if (count > most_files) TRY_DO(txn.clear(files_));
  }
  for (const auto& [name, file] : batch.files) {
    Bytes value;
    append_be<std::uint64_t>(value, file.segment_size);
    append(value, file.id.bytes);
    Bytes all = to_bytes(name.bytes);
    append(all, value);
    append_be<std::uint64_t>(value, crc(all));
    TRY_DO(txn.put(files_, name.bytes, value));
  }
  std::uint8_t total[8];
  put_be<std::uint64_t>(total, bytes);
  TRY_DO(txn.put(about_, as_bytes(bytes_key), total));
  TRY_DO(txn.commit());
  return left_out;
}

Result<std::size_t> SegmentStore::write(const Batch& batch) {
  auto done = write_once(batch, options_.most_bytes);
  // Free pages lie where no segment fits: make more of them, in steps.
  for (auto share = 8u; !done && done.error().code == Errc::no_space && share > 0; share /= 2)
    done = write_once(batch, options_.most_bytes / 16 * share);
  return done;
}

SegmentStore::Use SegmentStore::use() const {
  Use out;
  if (auto txn = db_->read()) {
    if (auto sum = txn->get(about_, as_bytes(bytes_key)); sum && *sum && (*sum)->size() == 8)
      out.bytes = get_be<std::uint64_t>((*sum)->data());
    out.segments = txn->entries(data_).value_or(0);
  }
  struct stat facts;
  if (::stat(db_->path().c_str(), &facts) == 0)
    out.on_disk = static_cast<std::uint64_t>(facts.st_blocks) * 512;
  return out;
}

}  // namespace lafs::cache
