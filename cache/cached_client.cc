// SPDX-License-Identifier: Apache-2.0
#include "cache/cached_client.h"

#include "grid/base/log.h"
#include "grid/crypto/aes_ctr.h"

namespace lafs::cache {

namespace {
constexpr std::size_t most_directories = 4096;  // snapshots kept; those in use are never dropped
constexpr std::size_t most_readers = 1024;
constexpr std::size_t most_mutable = 64;

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

Task<Result<std::shared_ptr<CachedDirectory>>> CachedClient::directory(Cap cap) {
  const auto text = cap.text();
  auto known = directories_.find(text);
  if (known != directories_.end()) co_return known->second;
  CO_TRY(on_grid, co_await client_.directory(cap));
  CachedDirectory::Probe probe;
  if (cap.is_mutable()) {
    CO_TRY(file, client_.mutable_file(cap));
    probe = [file] { return file->probe(); };
  }
  bound(directories_, most_directories, [](auto& d) { return d.use_count() == 1 && d->idle(); });
  auto& slot = directories_[text];  // somebody else may have been quicker while we waited
  if (!slot)
    slot = std::make_shared<CachedDirectory>(executor_, std::move(on_grid), std::move(probe),
                                             options_.directory_ttl);
  co_return slot;
}

Task<Result<Segments::Data>> CachedClient::segment(std::shared_ptr<grid::ImmutableFile> file,
                                                   grid::StorageIndex si, grid::SegmentNo number) {
  if (auto kept = segments_.find({si, number})) co_return kept;
  CO_TRY(data, co_await file->segment(number));
  segments_.keep({si, number}, data);
  co_return data;
}

Task<> CachedClient::fetch_ahead(std::shared_ptr<grid::ImmutableFile> file, grid::StorageIndex si,
                                 grid::SegmentNo number) {
  // A failure here is not one yet: whoever really needs the segment will ask again and be told.
  auto ignored = co_await segment(std::move(file), si, number);
}

Task<Result<Bytes>> CachedClient::read_chk(grid::ChkCap chk, std::uint64_t offset,
                                           std::uint64_t size) {
  if (offset >= chk.size) co_return Bytes{};
  size = std::min(size, chk.size - offset);
  const auto verify = grid::verifier_of(chk);
  const auto si = verify.storage_index;
  CO_TRY(file, co_await client_.immutable_file(verify));
  CO_TRY(geometry, co_await file->geometry(offset));
  const auto segment_size = geometry.segment_size;
  const auto first = offset / segment_size, last = (offset + size - 1) / segment_size;

  bound(readers_, most_readers, [](auto&) { return true; });
  auto& reader = readers_[si];
  if (reader.next_offset == offset && offset + size < chk.size) {
    const auto until = std::min(last + 1 + options_.read_ahead, geometry.num_segments);
    for (auto s = std::max(last + 1, reader.ahead_to); s < until; ++s)
      if (!segments_.find({si, grid::SegmentNo{s}}))
        ahead_.spawn(fetch_ahead(file, si, grid::SegmentNo{s}));
    reader.ahead_to = std::max(reader.ahead_to, until);
  } else {
    reader.ahead_to = last + 1;
  }
  reader.next_offset = offset + size;

  Bytes out(size);
  grid::AesCtr cipher(chk.key, offset);
  for (auto s = first; s <= last; ++s) {
    CO_TRY(data, co_await segment(file, si, grid::SegmentNo{s}));
    const auto begin = std::max(offset, s * segment_size);
    const auto end = std::min(offset + size, s * segment_size + data->size());
    if (end <= begin) co_return fail(Errc::corrupt, "a segment is shorter than it should be");
    cipher.process(ByteView(*data).subspan(begin - s * segment_size, end - begin),
                   MutableBytes(out).subspan(begin - offset, end - begin));
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
  co_return co_await client_.put(source, std::move(progress));
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
