// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/encode_pipeline.h"

#include <boost/asio/this_coro.hpp>

#include "grid/caps/keys.h"
#include "grid/crypto/hash_many.h"
#include "grid/immutable/on_pool.h"

namespace lafs::grid {

namespace {

constexpr std::uint64_t memory_bound = std::uint64_t{80} << 20;
constexpr std::size_t largest_batch = 16;

// A ring of batches of segments. Three coroutines go round it, each waiting for the one before:
// fill() reads and starts the encoding, flatten() feeds the flat hash, drain() the sink.
class Pipeline {
 public:
  Pipeline(asio::any_io_executor executor, FileEncoder& encoder, const Source& source, Pool& pool,
           const SegmentSink& sink, const SourceSum* expected)
      : encoder_(encoder),
        source_(source),
        pool_(pool),
        sink_(sink),
        expected_(expected),
        changed_(executor),
        tasks_(executor) {
    const auto& g = encoder.geometry();
    work_ = std::max<std::uint64_t>(1, std::min(g.size, g.segment_size) / g.k * g.n);
    // One batch for each thread, one that is read and one that is sent; and where batches are
    // small, one more for each thread, so that none waits while a batch waits for its turn in the
    // flat hash.
    const std::uint64_t slots = pool.threads() * (hash_lanes() > 1 ? 1 : 2) + 2;
    // In a small file every thread gets its part.
    const auto share = ceil_div(g.num_segments, std::uint64_t{2} * pool.threads());
    const auto most =
        std::clamp<std::uint64_t>(std::min(memory_bound / work_ / slots, share), 1, largest_batch);
    batch_ = best_batch(g.k, g.n, most, hash_lanes());
    batches_ = ceil_div(g.num_segments, batch_);
    ring_.resize(
        std::min(std::clamp<std::uint64_t>(memory_bound / work_ / batch_, 2, slots), batches_));
  }

  Task<Result<>> run() {
    tasks_.spawn(fill());
    tasks_.spawn(flatten());
    auto result = co_await drain();
    if (!result) tasks_.cancel();
    stopped_ = true;
    changed_.notify();
    co_await tasks_.join();
    co_return result;
  }

 private:
  enum class State : std::uint8_t { free, busy, encoded };
  struct Batch {
    State state = State::free;
    bool flat = false;   // in the flat hash
    bool taken = false;  // by the sink
    std::vector<EncodedSegment> segments;
  };

  Batch& batch(std::uint64_t number) { return ring_[number % ring_.size()]; }

  template <class Condition>
  Task<bool> wait_until(Condition condition) {
    bool stop = co_await stop_requested();
    while (!condition() && !stopped_ && !error_ && !stop) {
      co_await changed_.wait();
      stop = co_await stop_requested();
    }
    co_return !stop && !stopped_ && condition();
  }

  Task<> fill() {
    const auto& g = encoder_.geometry();
    for (std::uint64_t i = 0; i < batches_; ++i) {
      auto& b = batch(i);
      const bool free = co_await wait_until([&] { return b.state == State::free; });
      if (!free) co_return;
      b.state = State::busy;
      const auto first = i * batch_;
      b.segments.resize(std::min<std::uint64_t>(batch_, g.num_segments - first));
      for (std::uint64_t s = 0; s < b.segments.size(); ++s) {
        const SegmentNo number{first + s};
        const auto room = encoder_.prepare(b.segments[s], number);
        auto read = co_await source_.read(g.segment_offset(number), room);
        if (!read) {
          error_ = std::move(read).error();
          changed_.notify();
          co_return;
        }
      }
      tasks_.spawn(encode(b));
    }
  }

  Task<> encode(Batch& b) {
    bool same = true;
    co_await on_pool(pool_, work_ * b.segments.size(), [&] {
      for (auto& s : b.segments) {
        if (expected_)
          same = same && expected_->matches(s.number, ByteView(s.data).first(s.length));
      }
      if (same) encoder_.encode(b.segments);
    });
    if (!same) {
      error_ = source_changed().error();
      changed_.notify();
      co_return;
    }
    b.flat = b.taken = false;
    b.state = State::encoded;
    changed_.notify();
  }

  Task<> flatten() {
    for (std::uint64_t i = 0; i < batches_; ++i) {
      auto& b = batch(i);
      const bool ready = co_await wait_until([&] { return b.state == State::encoded && !b.flat; });
      if (!ready) co_return;
      co_await on_pool(pool_, encoder_.geometry().segment_size * b.segments.size(), [&] {
        for (auto& segment : b.segments) encoder_.add_to_flat_hash(segment);
      });
      b.flat = true;
      release(b);
    }
  }

  Task<Result<>> drain() {
    for (std::uint64_t i = 0; i < batches_; ++i) {
      auto& b = batch(i);
      const bool ready = co_await wait_until([&] { return b.state == State::encoded && !b.taken; });
      if (!ready) {
        if (error_) co_return std::unexpected(*error_);
        co_return fail(Errc::cancelled, "encoding");
      }
      for (auto& segment : b.segments) CO_TRY_DO(co_await sink_(segment));
      b.taken = true;
      release(b);
    }
    // The flat hash of the last one may still be under way.
    auto& last = batch(batches_ - 1);
    const bool done = co_await wait_until([&] { return last.state == State::free; });
    if (!done) co_return fail(Errc::cancelled, "encoding");
    co_return Result<>{};
  }

  void release(Batch& b) {
    if (b.flat && b.taken) b.state = State::free;
    changed_.notify();
  }

  FileEncoder& encoder_;
  const Source& source_;
  Pool& pool_;
  const SegmentSink& sink_;
  const SourceSum* expected_;  // null: whatever it holds is right
  Signal changed_;
  TaskGroup tasks_;
  std::uint64_t work_ = 1;  // bytes of a segment's n blocks
  std::size_t batch_ = 1;   // segments
  std::uint64_t batches_ = 0;
  std::vector<Batch> ring_;
  std::optional<Error> error_;
  bool stopped_ = false;
};

Task<> hash_chunk(Pool& pool, ConvergentKey& key, SourceSum& sum, ByteView chunk) {
  co_await on_pool(pool, chunk.size(), [&] {
    key.update(chunk);
    sum.add(chunk);
  });
}

}  // namespace

std::unexpected<Error> source_changed() {
  return fail(
      Errc::busy,
      "the file was written to while it was uploaded, and nothing was stored; try again when "
      "nobody writes to it");
}

Task<Result<EncodedFile>> encode_file(FileEncoder& encoder, const Source& source, Pool& pool,
                                      const SegmentSink& sink, const SourceSum* expected) {
  if (source.size != encoder.geometry().size) {
    co_return fail(Errc::bad_argument, "a source of another size than was announced");
  }
  auto executor = co_await asio::this_coro::executor;
  auto pipeline = std::make_unique<Pipeline>(executor, encoder, source, pool, sink, expected);
  CO_TRY_DO(co_await pipeline->run());
  pipeline.reset();
  // About a microsecond for each block hash.
  const auto hashes = encoder.geometry().num_segments * encoder.geometry().n;
  std::optional<EncodedFile> out;
  co_await on_pool(pool, hashes * 256, [&] { out = encoder.finish(); });
  co_return std::move(*out);
}

Task<Result<ContentKey>> convergent_key(const Source& source, const Geometry& geometry,
                                        Bytes convergence_secret, Pool& pool) {
  CO_TRY(key,
         ConvergentKey::start(convergence_secret, geometry.k, geometry.n, geometry.segment_size));
  SourceSum sum(geometry.segment_size);
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
    hashing.spawn(hash_chunk(pool, key, sum, buffers[full]));
    at += buffers[full].size();
    Result<> read;
    auto& next = buffers[1 - full];
    next.resize(std::min(chunk_size, source.size - at));
    if (!next.empty()) read = co_await source.read(at, next);
    co_await hashing.join();
    if (!read) co_return std::unexpected(std::move(read).error());
    full = 1 - full;
  }
  co_return ContentKey{key.finish(), std::move(sum)};
}

}  // namespace lafs::grid
