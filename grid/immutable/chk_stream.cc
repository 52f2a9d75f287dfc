// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/chk_stream.h"

#include "grid/immutable/chk_reader.h"
#include "grid/immutable/on_pool.h"

namespace lafs::grid {

namespace {
constexpr std::uint64_t least_ahead = std::uint64_t{4} << 20;
constexpr std::uint64_t most_ahead = std::uint64_t{48} << 20;
}  // namespace

ChkStream::ChkStream(asio::any_io_executor executor, std::shared_ptr<ImmutableFile> file,
                     const Key16& key, Pool& pool, std::uint64_t offset, std::uint64_t length)
    : file_(std::move(file)),
      key_(key),
      pool_(pool),
      at_(std::min(offset, file_->cap().size)),
      end_(at_ + std::min(length, file_->cap().size - at_)),
      window_(least_ahead, most_ahead),
      changed_(executor),
      tasks_(executor) {}

Task<> ChkStream::close() {
  tasks_.cancel();
  co_await tasks_.join();
}

bool ChkStream::room(const Geometry& g) const {
  if (flights_.empty()) return true;
  // What has landed waits for the reader, who may be slow.
  return (under_way_ + 1) * g.segment_size <= window_.bytes() &&
         (flights_.size() + 1) * g.segment_size <= std::min(2 * window_.bytes(), most_ahead);
}

Task<> ChkStream::keep_full(Geometry g) {
  const auto last = g.segment_at(end_ - 1).value;
  first_ = g.segment_at(at_);
  ahead_ = first_.value;
  TimePoint next_start{};
  bool stop = false;
  while (ahead_ <= last && !stop) {
    const auto now = Clock::now();
    if (!room(g)) {
      co_await changed_.wait();
    } else if (now < next_start) {
      co_await changed_.wait(next_start);
    } else {
      flights_.push_back(std::make_shared<Flight>(SegmentNo{ahead_++}));
      ++under_way_;
      tasks_.spawn(fly(flights_.back(), g));
      // Up to twice as fast as they have come so far.
      if (window_.rate() > 0) {
        const auto apart = static_cast<double>(g.segment_size) / (2 * window_.rate());
        next_start = std::max(now - std::chrono::milliseconds(2), next_start) +
                     std::chrono::duration_cast<Duration>(std::chrono::duration<double>(apart));
      }
      changed_.notify();
    }
    stop = co_await stop_requested();
  }
}

Task<> ChkStream::fly(std::shared_ptr<Flight> flight, Geometry g) {
  const auto ticket = window_.started(Clock::now());
  auto segment = co_await file_->segment(flight->number);
  --under_way_;
  if (!segment) {
    flight->plaintext = std::unexpected(std::move(segment).error());
  } else {
    // The first one comes with the question how large the file is, and says nothing of the line.
    if (flight->number != first_) window_.acknowledged(ticket, (*segment)->size(), Clock::now());
    const auto begin = g.segment_offset(flight->number);
    const auto from = std::max(at_, begin);
    const auto to = std::min(end_, begin + (*segment)->size());
    Bytes plaintext;
    co_await on_pool(pool_, (to - from) / 4, [&] {
      plaintext.resize(to - from);
      decrypt_at(key_, from, ByteView(**segment).subspan(from - begin, to - from), plaintext);
    });
    flight->plaintext = std::move(plaintext);
  }
  changed_.notify();
}

Task<Result<Bytes>> ChkStream::next() {
  if (at_ >= end_) co_return Bytes();
  CO_TRY(g, co_await file_->geometry(at_));
  if (!std::exchange(started_, true)) tasks_.spawn(keep_full(g));
  bool stop = co_await stop_requested();
  while (flights_.empty() && !stop) {
    co_await changed_.wait();
    stop = co_await stop_requested();
  }
  if (flights_.empty()) co_return fail(Errc::cancelled, "reading a file");
  const auto flight = flights_.front();
  while (!flight->plaintext && !stop) {
    co_await changed_.wait();
    stop = co_await stop_requested();
  }
  if (!flight->plaintext) co_return fail(Errc::cancelled, "reading a file");
  flights_.pop_front();
  if (!*flight->plaintext) co_return std::unexpected(std::move(*flight->plaintext).error());
  at_ += (*flight->plaintext)->size();
  changed_.notify();
  co_return std::move(**flight->plaintext);
}

}  // namespace lafs::grid
