// SPDX-License-Identifier: Apache-2.0
#include "cache/content_stream.h"

#include "grid/crypto/random.h"

namespace lafs::cache {

namespace {
// Servers hold room for a share only so long, and others may want to send.
constexpr auto patience = std::chrono::seconds(30);
}  // namespace

ContentStream::ContentStream(asio::any_io_executor executor, CachedClient& client,
                             const StagedFile& file, std::uint64_t size)
    : executor_(executor),
      client_(client),
      file_(file),
      size_(size),
      last_(Clock::now()),
      changed_(executor) {}

void ContentStream::wrote(std::uint64_t at, std::uint64_t size) {
  if (at != have_ || size > size_ - have_) {
    spoil();
    return;
  }
  have_ += size;
  last_ = Clock::now();
  changed_.notify();
}

void ContentStream::spoil() {
  spoiled_ = true;
  changed_.notify();
}

void ContentStream::cut(std::uint64_t size) {
  if (size != have_) spoil();
}

Task<Result<>> ContentStream::read(std::uint64_t at, MutableBytes out) {
  while (!spoiled_ && have_ < at + out.size()) {
    co_await changed_.wait(last_ + patience);
    const bool stop = co_await stop_requested();
    if (stop || Clock::now() >= last_ + patience) spoiled_ = true;
  }
  if (spoiled_) co_return fail(Errc::cancelled, "an upload that was not written to its end");
  co_return file_.read(at, out);
}

Task<> ContentStream::put() {
  grid::Source source{.size = size_,
                      .read = [this](std::uint64_t at, MutableBytes out) { return read(at, out); }};
  auto key = grid::random_secret<16>();
  cap_ = co_await client_.put_under(key, source);
  changed_.notify();
}

Task<> ContentStream::run() {
  TaskGroup sending(executor_);
  sending.spawn(put());
  while (!cap_ && !spoiled_) {
    co_await changed_.wait();
    const bool stop = co_await stop_requested();
    if (stop) spoil();
  }
  if (!cap_) sending.cancel();
  co_await sending.join();
  ended_ = true;
  changed_.notify();
}

Task<Result<Cap>> ContentStream::cap() {
  while (!ended_) {
    co_await changed_.wait();
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "upload");
  }
  if (!whole() || !cap_) co_return fail(Errc::cancelled, "upload");
  co_return *cap_;
}

}  // namespace lafs::cache
