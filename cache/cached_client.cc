// SPDX-License-Identifier: Apache-2.0
#include "cache/cached_client.h"

#include "grid/base/log.h"
#include "grid/base/process_metrics.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/random.h"

namespace lafs::cache {

namespace {
constexpr std::size_t most_directories = 4096;  // snapshots kept; those in use are never dropped
constexpr std::size_t most_readers = 1024;
constexpr std::size_t most_mutable = 64;

// What names a file in the cache: two files of one storage index differ here.
grid::StorageIndex name_of(const grid::Hash32& ueb_hash) { return {grid::truncate<16>(ueb_hash)}; }

// Makes room in a map whose entries can be had again: drops some that nobody holds.
template <class Map, class Unused>
void bound(Map& map, std::size_t most, Unused unused) {
  for (auto it = map.begin(); map.size() > most && it != map.end();)
    it = unused(it->second) ? map.erase(it) : std::next(it);
}
}  // namespace

CachedClient::CachedClient(asio::any_io_executor executor, grid::Client& client, Options options)
    : executor_(executor),
      client_(client),
      options_(options),
      segments_(options.segment_bytes),
      ahead_(executor) {}

CachedClient::~CachedClient() = default;

ReadCache* CachedClient::disk() {
  if (!disk_ && options_.disk) {
    const auto wanted = *std::exchange(options_.disk, std::nullopt);
    auto opened = ReadCache::open(wanted);
    if (opened)
      disk_ = std::move(*opened);
    else
      log::warning("nothing is kept in " + wanted.directory + ": " + opened.error().message());
  }
  return disk_.get();
}

Task<std::optional<grid::Listing>> CachedClient::remembered(Cap cap) {
  auto* disk = this->disk();
  auto work = [disk, text = cap.text(), cap]() -> std::optional<grid::Listing> {
    auto kept = disk->listing(text);
    if (!kept) return std::nullopt;
    grid::TableKind kind;
    if (auto* writable = cap.as<grid::MutableWriteCap>()) kind.write_key = writable->write_key;
    auto entries = grid::Entries::unpack(std::move(kept->table), std::move(kind));
    if (!entries) return std::nullopt;
    return grid::Listing({kept->seqnum, kept->root_hash}, std::move(*entries));
  };
  co_return co_await offload(client_.pool(), std::move(work));
}

CachedDirectory::Memory CachedClient::memory_of(const Cap& cap) {
  if (!cap.is_mutable() || !disk()) return {};
  return {.load = [this, cap] { return remembered(cap); },
          .keep =
              [this, text = cap.text()](const grid::Listing& listing) {
                disk_->keep_listing(text, {listing.version.seqnum, listing.version.root_hash,
                                           listing.entries().bytes()});
              }};
}

Task<Result<std::shared_ptr<CachedDirectory>>> CachedClient::directory(Cap cap) {
  const auto text = cap.text();
  auto known = directories_.find(text);
  if (known != directories_.end()) co_return known->second;
  std::shared_ptr<grid::Directory> on_grid;
  if (cap.is_directory() && cap.as<grid::ChkCap>()) {
    CO_TRY(contents, co_await read(cap, 0, *cap.size()));
    on_grid = std::make_shared<grid::Directory>(std::move(contents), client_.pool());
  } else {
    CO_TRY(opened, co_await client_.directory(cap));
    on_grid = std::move(opened);
  }
  CachedDirectory::Probe probe;
  if (cap.is_mutable()) {
    CO_TRY(file, client_.mutable_file(cap));
    probe = [file] { return file->probe(); };
  }
  bound(directories_, most_directories, [](auto& d) { return d.use_count() == 1 && d->idle(); });
  auto& slot = directories_[text];  // somebody else may have been quicker while we waited
  if (!slot)
    slot = std::make_shared<CachedDirectory>(executor_, std::move(on_grid), std::move(probe),
                                             options_.directory_ttl, memory_of(cap));
  co_return slot;
}

namespace {
// Where the segments that somebody read were found.
struct Figures {
  metrics::Counter& in(const char* where) {
    return metrics::of_process().counter(
        "lafs_cache_reads_total", "Segments read, by where they were found.", {{"from", where}});
  }
  metrics::Counter &memory = in("memory"), &disk = in("disk"), &grid = in("grid");
};

Figures& figures() {
  static Figures out;
  return out;
}
}  // namespace

bool CachedClient::has(const Segments::Key& key) {
  return segments_.find(key) || (disk() && disk_->has_segment(key));
}

Task<Result<Segments::Data>> CachedClient::fetch(grid::ChkVerifyCap verify, Segments::Key key) {
  CO_TRY(file, co_await client_.immutable_file(std::move(verify)));
  CO_TRY(data, co_await file->segment(key.segment));
  if (!segments_.find(key)) {  // else others who waited for it have kept it
    segments_.keep(key, data);
    if (disk()) disk_->keep_segment(key, data);
  }
  co_return data;
}

Task<> CachedClient::fetch_ahead(grid::ChkVerifyCap verify, Segments::Key key) {
  // A failure here is not one yet: whoever really needs the segment will ask again and be told.
  auto ignored = co_await fetch(std::move(verify), key);
}

Task<Result<CachedFile>> CachedClient::facts(grid::ChkVerifyCap verify, std::uint64_t offset) {
  const auto name = name_of(verify.ueb_hash);
  if (disk())
    if (auto kept = disk_->file(name); kept && kept->segment_size > 0) co_return *kept;
  CO_TRY(file, co_await client_.immutable_file(std::move(verify)));
  CO_TRY(geometry, co_await file->geometry(offset));
  const CachedFile out{geometry.segment_size, name};
  if (disk()) disk_->keep_file(name, out);
  co_return out;
}

Task<Result<Bytes>> CachedClient::read_chk(grid::ChkCap chk, std::uint64_t offset,
                                           std::uint64_t size) {
  if (offset >= chk.size) co_return Bytes{};
  size = std::min(size, chk.size - offset);
  const auto verify = grid::verifier_of(chk);
  const auto name = name_of(verify.ueb_hash);
  bound(readers_, most_readers, [](auto&) { return true; });
  if (readers_[name].file.segment_size == 0) {
    CO_TRY(found, co_await facts(verify, offset));
    readers_[name].file = found;
  }
  auto& reader = readers_[name];
  const auto segment_size = reader.file.segment_size;
  const auto id = reader.file.id;
  const auto first = offset / segment_size, last = (offset + size - 1) / segment_size;
  const auto count = ceil_div(chk.size, segment_size);

  if (reader.next_offset == offset && offset + size < chk.size) {
    const auto until = std::min(last + 1 + options_.read_ahead, count);
    for (auto s = std::max(last + 1, reader.ahead_to); s < until; ++s)
      if (const Segments::Key key{id, grid::SegmentNo{s}}; !has(key))
        ahead_.spawn(fetch_ahead(verify, key));
    reader.ahead_to = std::max(reader.ahead_to, until);
  } else {
    reader.ahead_to = last + 1;
  }
  reader.next_offset = offset + size;

  Bytes out(size);
  grid::AesCtr cipher(chk.key, offset);
  for (auto s = first; s <= last; ++s) {
    const Segments::Key key{id, grid::SegmentNo{s}};
    const auto begin = std::max(offset, s * segment_size);
    const auto end = std::min(offset + size, s * segment_size + segment_size);
    bool whole = false;
    const auto decrypt = [&](ByteView data) {
      const auto part = slice(data, begin - s * segment_size, end - begin);
      if (!part) return;
      cipher.process(*part, MutableBytes(out).subspan(begin - offset, end - begin));
      whole = true;
    };
    if (auto kept = segments_.find(key)) {
      figures().memory.add();
      decrypt(*kept);
    } else if (disk() && disk_->segment(key, decrypt)) {
      figures().disk.add();
    } else {
      figures().grid.add();
      CO_TRY(data, co_await fetch(verify, key));
      decrypt(*data);
    }
    if (!whole) co_return fail(Errc::corrupt, "a segment is shorter than it should be");
  }
  co_return out;
}

Task<Result<const Bytes*>> CachedClient::mutable_contents(const Cap& cap) {
  const auto si = cap.storage_index();
  if (!si) co_return fail(Errc::bad_cap, "not a mutable file");
  auto kept = mutable_.find(*si);
  if (kept != mutable_.end() && Clock::now() < kept->second.until)
    co_return kept->second.contents.get();
  CO_TRY(file, client_.mutable_file(cap));
  CO_TRY(found, co_await file->read());
  bound(mutable_, most_mutable, [](auto&) { return true; });
  auto& slot = mutable_[*si];
  slot = {std::move(found.bytes), Clock::now() + options_.mutable_ttl};
  co_return slot.contents.get();
}

Task<Result<Bytes>> CachedClient::read(Cap cap, std::uint64_t offset, std::uint64_t size) {
  if (auto* chk = cap.as<grid::ChkCap>()) co_return co_await read_chk(*chk, offset, size);
  if (cap.is_literal()) co_return co_await client_.read(cap, offset, size);
  if (!cap.is_mutable()) co_return co_await client_.read(cap, offset, size);
  CO_TRY(contents, co_await mutable_contents(cap));
  const auto from = std::min<std::uint64_t>(offset, contents->size());
  const auto length = std::min<std::uint64_t>(size, contents->size() - from);
  co_return to_bytes(ByteView(*contents).subspan(from, length));
}

Task<Result<std::uint64_t>> CachedClient::size(Cap cap) {
  if (auto known = cap.size()) co_return *known;
  CO_TRY(contents, co_await mutable_contents(cap));
  co_return contents->size();
}

Task<Result<Cap>> CachedClient::put(grid::Source& source, grid::Progress progress) {
  return put(source, std::move(progress), std::nullopt);
}

Task<Result<Cap>> CachedClient::put_under(grid::Key16 key, grid::Source& source) {
  return put(source, nullptr, key);
}

Task<Result<Cap>> CachedClient::put(grid::Source& source, grid::Progress progress,
                                    std::optional<grid::Key16> key) {
  auto context = client_.upload_context();
  context.progress = std::move(progress);
  // The ciphertext that is made on the way, under a number of its own until the cap is known.
  CachedFile made;
  made.id.bytes = grid::random_array<16>();
  unsigned passes = 0;
  if (disk())
    context.keep = [&made, &passes, this](const grid::Geometry& geometry, grid::SegmentNo number,
                                          ByteView ciphertext) {
      if (number.value == 0) ++passes;
      if (passes > 1) return;  // a source may have changed in between
      made.segment_size = geometry.segment_size;
      const auto data = std::make_shared<const Bytes>(to_bytes(ciphertext));
      segments_.keep({made.id, number}, data);
      disk_->keep_segment({made.id, number}, data);
    };
  CO_TRY(result, co_await grid::upload(std::move(context), source, std::move(key)));
  if (auto* chk = result.cap.as<grid::ChkCap>(); chk && passes == 1) {
    const auto name = name_of(chk->ueb_hash);
    if (!disk_->file(name)) {
      disk_->keep_file(name, made);
      readers_[name].file = made;
    }
  }
  co_return result.cap;
}

Task<Result<>> CachedClient::overwrite(Cap cap, Bytes contents) {
  CO_TRY(file, client_.mutable_file(cap));
  if (auto si = cap.storage_index()) mutable_.erase(*si);
  CO_TRY_DO(co_await file->overwrite(std::move(contents)));
  if (auto si = cap.storage_index()) mutable_.erase(*si);
  co_return Result<>{};
}

Task<> CachedClient::close() {
  for (auto& [text, directory] : directories_) co_await directory->close();
  co_await ahead_.join();
  directories_.clear();
}

}  // namespace lafs::cache
