// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/encoder.h"

#include <boost/asio/this_coro.hpp>

#include "grid/caps/keys.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/merkle.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/on_pool.h"
#include "grid/immutable/ueb.h"

namespace lafs::grid {

Bytes EncodedFile::trailer(ShareNo share) const {
  const auto tree = geometry.tree_bytes();
  const auto leaves =
      std::span(block_hashes).subspan(share.value * geometry.num_segments, geometry.num_segments);
  Bytes out;
  out.reserve(layout.uri_extension - layout.plaintext_tree + 8 + ueb.size());
  out.resize(tree);  // the plaintext tree that nobody publishes any more: zeros
  append(out, serialize_tree(ciphertext_tree));
  append(out, serialize_tree(merkle_tree(leaves)));
  append(out, serialize_share_hashes(share_tree, geometry.n, share));
  if (layout.version == LayoutVersion::v1) {
    append_be<std::uint32_t>(out, static_cast<std::uint32_t>(ueb.size()));
  } else {
    append_be<std::uint64_t>(out, ueb.size());
  }
  append(out, ueb);
  return out;
}

FileEncoder::FileEncoder(const Geometry& geometry, const ShareLayout& layout, const Key16& key,
                         std::shared_ptr<const Codec> codec)
    : geometry_(geometry),
      layout_(layout),
      key_(key),
      codec_(std::move(codec)),
      flat_("allmydata_crypttext_v1"),
      segment_hashes_(geometry.num_segments),
      block_hashes_(geometry.num_segments * geometry.n) {}

Result<std::unique_ptr<FileEncoder>> FileEncoder::make(const Geometry& geometry, const Key16& key,
                                                       std::optional<LayoutVersion> force_layout) {
  TRY(layout, ShareLayout::make(geometry, force_layout));
  TRY(codec, Codec::make(static_cast<unsigned>(geometry.k), static_cast<unsigned>(geometry.n)));
  return std::unique_ptr<FileEncoder>(new FileEncoder(geometry, layout, key, std::move(codec)));
}

MutableBytes FileEncoder::prepare(EncodedSegment& segment, SegmentNo number) const {
  segment.number = number;
  segment.length = geometry_.segment_length(number);
  segment.block_length = geometry_.block_length(number);
  segment.data.resize(geometry_.padded_length(number));
  segment.parity.resize((geometry_.n - geometry_.k) * segment.block_length);
  return MutableBytes(segment.data).first(segment.length);
}

void FileEncoder::encode(EncodedSegment& segment) {
  thread_local TaggedHasher segment_hasher("allmydata_crypttext_segment_v1");
  thread_local TaggedHasher block_hasher("allmydata_encoded_subshare_v1");

  const auto number = segment.number;
  AesCtr cipher(key_, geometry_.segment_offset(number));
  cipher.process(MutableBytes(segment.data).first(segment.length));
  // The padding is neither encrypted nor part of the ciphertext hashes.
  std::fill(segment.data.begin() + static_cast<std::ptrdiff_t>(segment.length), segment.data.end(),
            std::uint8_t{0});
  segment_hashes_[number.value] = segment_hasher.hash(segment.ciphertext());

  std::vector<const std::uint8_t*> pieces;
  std::vector<std::uint8_t*> parity;
  for (std::uint64_t i = 0; i < geometry_.k; ++i) {
    pieces.push_back(segment.data.data() + i * segment.block_length);
  }
  for (std::uint64_t i = geometry_.k; i < geometry_.n; ++i) {
    parity.push_back(segment.parity.data() + (i - geometry_.k) * segment.block_length);
  }
  codec_->encode(pieces, parity, segment.block_length);
  for (std::uint64_t i = 0; i < geometry_.n; ++i) {
    block_hashes_[i * geometry_.num_segments + number.value] =
        block_hasher.hash(segment.block(ShareNo{i}));
  }
}

EncodedFile FileEncoder::finish() {
  EncodedFile out;
  out.geometry = geometry_;
  out.layout = layout_;
  out.ciphertext_hash = flat_.finish();
  out.ciphertext_tree = merkle_tree(segment_hashes_);
  std::vector<Hash32> roots;
  for (std::uint64_t i = 0; i < geometry_.n; ++i) {
    roots.push_back(merkle_root(std::span<const Hash32>(block_hashes_)
                                    .subspan(i * geometry_.num_segments, geometry_.num_segments)));
  }
  out.share_tree = merkle_tree(roots);
  out.ueb = Ueb::of(geometry_, out.ciphertext_hash, out.ciphertext_tree[0], out.share_tree[0])
                .serialize();
  out.ueb_hash = ueb_hash(out.ueb);
  out.block_hashes = std::move(block_hashes_);
  return out;
}

namespace {

constexpr std::uint64_t memory_bound = std::uint64_t{64} << 20;

class Pipeline {
 public:
  Pipeline(asio::any_io_executor executor, FileEncoder& encoder, const Source& source, Pool& pool,
           const SegmentSink& sink)
      : encoder_(encoder),
        source_(source),
        pool_(pool),
        sink_(sink),
        changed_(executor),
        tasks_(executor) {
    const auto& g = encoder.geometry();
    work_per_segment_ = std::min(g.size, g.segment_size) / g.k * g.n;
    auto slots =
        std::clamp<std::uint64_t>(memory_bound / std::max<std::uint64_t>(1, work_per_segment_), 2,
                                  2 * std::uint64_t{pool.threads()} + 2);
    slots_.resize(std::min(slots, g.num_segments));
  }

  Task<Result<>> run() {
    tasks_.spawn(fill());
    auto result = co_await drain();
    if (!result) tasks_.cancel();
    stopped_ = true;
    changed_.notify();
    co_await tasks_.join();
    co_return result;
  }

 private:
  enum class State : std::uint8_t { free, busy, ready };
  struct Slot {
    State state = State::free;
    EncodedSegment segment;
  };

  Slot& slot_of(std::uint64_t segment) { return slots_[segment % slots_.size()]; }

  // Reads segments into free slots and starts encoding them.
  Task<> fill() {
    for (std::uint64_t i = 0; i < encoder_.geometry().num_segments; ++i) {
      auto& slot = slot_of(i);
      bool stop = co_await stop_requested();
      while (slot.state != State::free && !stopped_ && !stop) {
        co_await changed_.wait();
        stop = co_await stop_requested();
      }
      if (stopped_ || stop) co_return;
      slot.state = State::busy;
      const auto room = encoder_.prepare(slot.segment, SegmentNo{i});
      auto read = co_await source_.read(encoder_.geometry().segment_offset({i}), room);
      if (!read) {
        error_ = std::move(read).error();
        changed_.notify();
        co_return;
      }
      tasks_.spawn(encode(slot));
    }
  }

  Task<> encode(Slot& slot) {
    co_await on_pool(pool_, work_per_segment_, [&] { encoder_.encode(slot.segment); });
    slot.state = State::ready;
    changed_.notify();
  }

  Task<> flat_hash(const Slot& slot) {
    co_await on_pool(pool_, slot.segment.length, [&] { encoder_.add_to_flat_hash(slot.segment); });
  }

  // Hands ready segments to the sink, in order.
  Task<Result<>> drain() {
    auto executor = co_await asio::this_coro::executor;
    for (std::uint64_t i = 0; i < encoder_.geometry().num_segments; ++i) {
      auto& slot = slot_of(i);
      bool stop = co_await stop_requested();
      while (slot.state != State::ready && !error_ && !stop) {
        co_await changed_.wait();
        stop = co_await stop_requested();
      }
      if (stop) co_return fail(Errc::cancelled, "encoding");
      if (slot.state != State::ready) co_return std::unexpected(*error_);
      TaskGroup flat(executor);
      flat.spawn(flat_hash(slot));
      auto taken = co_await sink_(slot.segment);
      co_await flat.join();
      if (!taken) co_return taken;
      slot.state = State::free;
      changed_.notify();
    }
    co_return Result<>{};
  }

  FileEncoder& encoder_;
  const Source& source_;
  Pool& pool_;
  const SegmentSink& sink_;
  Signal changed_;
  TaskGroup tasks_;
  std::uint64_t work_per_segment_ = 0;
  std::vector<Slot> slots_;
  std::optional<Error> error_;
  bool stopped_ = false;
};

Task<> hash_chunk(Pool& pool, ConvergentKey& key, ByteView chunk) {
  co_await on_pool(pool, chunk.size(), [&] { key.update(chunk); });
}

}  // namespace

Task<Result<EncodedFile>> encode_file(FileEncoder& encoder, const Source& source, Pool& pool,
                                      const SegmentSink& sink) {
  if (source.size != encoder.geometry().size) {
    co_return fail(Errc::bad_argument, "a source of another size than was announced");
  }
  auto executor = co_await asio::this_coro::executor;
  auto pipeline = std::make_unique<Pipeline>(executor, encoder, source, pool, sink);
  CO_TRY_DO(co_await pipeline->run());
  pipeline.reset();
  // About a microsecond for each block hash.
  const auto hashes = encoder.geometry().num_segments * encoder.geometry().n;
  std::optional<EncodedFile> out;
  co_await on_pool(pool, hashes * 256, [&] { out = encoder.finish(); });
  co_return std::move(*out);
}

Task<Result<Key16>> convergent_key(const Source& source, const Geometry& geometry,
                                   Bytes convergence_secret, Pool& pool) {
  CO_TRY(key,
         ConvergentKey::start(convergence_secret, geometry.k, geometry.n, geometry.segment_size));
  auto executor = co_await asio::this_coro::executor;
  constexpr std::uint64_t chunk_size = 1 << 20;
  // While one chunk is hashed, the next one is read.
  std::array<Bytes, 2> buffers;
  std::uint64_t at = 0;
  buffers[0].resize(std::min(chunk_size, source.size));
  CO_TRY_DO(co_await source.read(0, buffers[0]));
  std::size_t full = 0;
  while (at < source.size) {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "hashing");
    TaskGroup hashing(executor);
    hashing.spawn(hash_chunk(pool, key, buffers[full]));
    at += buffers[full].size();
    Result<> read;
    auto& next = buffers[1 - full];
    next.resize(std::min(chunk_size, source.size - at));
    if (!next.empty()) read = co_await source.read(at, next);
    co_await hashing.join();
    if (!read) co_return std::unexpected(std::move(read).error());
    full = 1 - full;
  }
  co_return key.finish();
}

}  // namespace lafs::grid
