// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/pipe.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "frontends/sftp/wire.h"

namespace lafs::sftp {
namespace {

constexpr std::size_t in_max = 1024 * 1024;  // and one packet more
constexpr std::size_t complaints_max = 16 * 1024;
constexpr std::size_t chunk = 64 * 1024;  // of a stream of bytes

}  // namespace

Pipe::Pipe(asio::any_io_executor executor, Form form, std::function<void()> wake)
    : executor_(executor),
      form_(form),
      wake_(std::move(wake)),
      readable_(executor),
      writable_(executor) {}

Task<std::optional<Bytes>> Pipe::read() {
  while (true) {
    if (!taken_.empty()) {
      auto next = std::move(taken_.back());
      taken_.pop_back();
      co_return next;
    }
    bool wake_mover = false, end = false;
    {
      std::lock_guard lock(mutex_);
      if (!in_.empty()) {
        taken_ = std::exchange(in_, {});
        std::ranges::reverse(taken_);
        in_bytes_ = 0;
        wake_mover = std::exchange(mover_waits_, false);
      } else if (ended_ || broken_ || cut_) {
        end = true;
      } else {
        reader_waits_ = true;
      }
    }
    if (wake_mover) wake_();
    if (end) co_return std::nullopt;
    if (taken_.empty()) {
      co_await readable_.wait();
      const bool stop = co_await stop_requested();
      if (stop) co_return std::nullopt;
    }
  }
}

void Pipe::write(Bytes head, Bytes body) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (broken_ || cut_ || status_) return;
    wake = out_.empty();
    out_bytes_ += head.size() + body.size();
    out_.push_back({std::move(head), std::move(body)});
  }
  if (wake) wake_();
}

Task<bool> Pipe::room_to_write(std::size_t bytes) {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (broken_ || cut_) co_return false;
      if (out_bytes_ < bytes) co_return true;
      writer_waits_ = true;
    }
    co_await writable_.wait();
    const bool stop = co_await stop_requested();
    if (stop) co_return false;
  }
}

std::optional<Error> Pipe::problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

void Pipe::complain(std::string_view text) {
  {
    std::lock_guard lock(mutex_);
    if (complaints_.size() + text.size() > complaints_max) return;
    complaints_ += text;
  }
  wake_();
}

std::string Pipe::take_complaints() {
  std::lock_guard lock(mutex_);
  return std::exchange(complaints_, {});
}

void Pipe::finish(int status) {
  {
    std::lock_guard lock(mutex_);
    if (status_) return;
    status_ = status;
  }
  wake_();
}

void Pipe::cut() {
  {
    std::lock_guard lock(mutex_);
    cut_ = true;
    wake_reader_locked();
    wake_writer_locked();
  }
  wake_();
}

MutableBytes Pipe::space() {
  if (have_ == 0 && in_length_) {
    std::lock_guard lock(mutex_);
    if (ended_ || broken_ || cut_ || problem_) return {};
    if (in_bytes_ >= in_max) {
      mover_waits_ = true;
      return {};
    }
  }
  if (form_ == Form::bytes) {
    coming_.resize(chunk);
    return coming_;
  }
  if (in_length_) return MutableBytes(length_).subspan(have_);
  return MutableBytes(coming_).subspan(have_);
}

void Pipe::filled(std::size_t size) {
  if (form_ == Form::bytes) {
    coming_.resize(size);
  } else {
    have_ += size;
    if (in_length_) {
      if (have_ < sizeof length_) return;
      have_ = 0;
      const auto length = get_be<std::uint32_t>(length_);
      if (length == 0 || length > packet_max) {
        std::lock_guard lock(mutex_);
        problem_ = Error{Errc::too_large, "a packet of " + std::to_string(length) + " bytes"};
        ended_ = true;
        wake_reader_locked();
        return;
      }
      coming_ = Bytes(length);
      in_length_ = false;
      return;
    }
    if (have_ < coming_.size()) return;
    have_ = 0;
    in_length_ = true;
  }
  std::lock_guard lock(mutex_);
  in_bytes_ += coming_.size();
  in_.push_back(std::exchange(coming_, {}));
  wake_reader_locked();
}

void Pipe::end_of_input() {
  std::lock_guard lock(mutex_);
  // An end in the middle of a packet is a break.
  if (have_ > 0 || !in_length_) problem_ = Error{Errc::closed, "the stream ended within a packet"};
  ended_ = true;
  wake_reader_locked();
}

void Pipe::broken() {
  std::lock_guard lock(mutex_);
  if (!problem_ && !ended_) problem_ = Error{Errc::closed, "the connection broke"};
  broken_ = true;
  wake_reader_locked();
  wake_writer_locked();
}

bool Pipe::take(std::vector<Piece>& out) {
  std::lock_guard lock(mutex_);
  if (out_.empty()) return false;
  if (out.empty()) {
    out.swap(out_);
  } else {
    std::ranges::move(out_, std::back_inserter(out));
    out_.clear();
  }
  return true;
}

void Pipe::sent(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  out_bytes_ -= std::min(bytes, out_bytes_);
  wake_writer_locked();
}

std::optional<int> Pipe::finished() const {
  std::lock_guard lock(mutex_);
  return out_.empty() ? status_ : std::nullopt;
}

bool Pipe::is_cut() const {
  std::lock_guard lock(mutex_);
  return cut_;
}

void Pipe::wake_reader_locked() {
  if (!std::exchange(reader_waits_, false)) return;
  asio::post(executor_, [self = shared_from_this()] { self->readable_.notify(); });
}

void Pipe::wake_writer_locked() {
  if (!std::exchange(writer_waits_, false)) return;
  asio::post(executor_, [self = shared_from_this()] { self->writable_.notify(); });
}

}  // namespace lafs::sftp
