// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/fd_mover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <array>
#include <boost/asio/post.hpp>

namespace lafs::sftp {
namespace {

// While it lives, reading and writing do not block where that can be had.
class NonBlocking {
 public:
  explicit NonBlocking(int fd) : fd_(fd) {
    struct stat facts{};
    if (::fstat(fd, &facts) != 0 || !(S_ISFIFO(facts.st_mode) || S_ISSOCK(facts.st_mode))) return;
    flags_ = ::fcntl(fd, F_GETFL);
    if (flags_ >= 0) ::fcntl(fd, F_SETFL, flags_ | O_NONBLOCK);
  }
  ~NonBlocking() {
    if (flags_ >= 0) ::fcntl(fd_, F_SETFL, flags_);
  }

 private:
  int fd_;
  int flags_ = -1;
};

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

// Shared with what is posted at the thread's end, which may come after ~FdMover.
struct FdMover::Done {
  explicit Done(asio::any_io_executor executor) : signal(executor) {}
  Signal signal;
  bool done = false;
};

FdMover::FdMover(asio::any_io_executor executor, Pipe::Form form, int in, int out)
    : executor_(executor),
      in_(in),
      out_(out),
      wake_(std::make_shared<WakeFd>()),
      pipe_(std::make_shared<Pipe>(executor, form, [wake = wake_] { wake->wake(); })),
      done_(std::make_shared<Done>(executor)),
      thread_([this] { run(); }) {}

FdMover::~FdMover() {
  pipe_->cut();
  thread_.join();
}

Task<> FdMover::flushed(TimePoint deadline) {
  while (!done_->done && Clock::now() < deadline) {
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    co_await done_->signal.wait(deadline);
  }
}

void FdMover::run() {
  const NonBlocking in(in_), out(out_);
  bool alive = true;
  while (alive && !pipe_->is_cut()) {
    const bool sending = piece_ < sending_.size() || pipe_->take(sending_);
    if (!sending && pipe_->finished()) break;
    const bool receiving = !input_ended_ && !pipe_->space().empty();
    pollfd fds[] = {{wake_->fd(), POLLIN, 0},
                    {receiving ? in_ : -1, POLLIN, 0},
                    {sending ? out_ : -1, POLLOUT, 0}};
    if (::poll(fds, 3, -1) < 0 && errno != EINTR) break;
    if (fds[0].revents) wake_->clear();
    if (fds[1].revents) alive = receive();
    if (fds[2].revents) alive = alive && send();
  }
  if (!alive) pipe_->broken();
  asio::post(executor_, [done = done_] {
    done->done = true;
    done->signal.notify();
  });
}

// As much as is there and as there is room for. False when the stream broke.
bool FdMover::receive() {
  while (true) {
    const auto space = pipe_->space();
    if (space.empty()) return true;
    const auto n = ::read(in_, space.data(), space.size());
    if (n > 0) {
      pipe_->filled(static_cast<std::size_t>(n));
      // A descriptor that may block is asked once for each poll.
      if (static_cast<std::size_t>(n) < space.size()) return true;
      pollfd more{in_, POLLIN, 0};
      if (::poll(&more, 1, 0) != 1) return true;
      continue;
    }
    if (n < 0 && would_block()) return true;
    input_ended_ = true;
    if (n == 0) pipe_->end_of_input();
    return n == 0;
  }
}

bool FdMover::send() {
  std::array<iovec, 64> parts;
  std::size_t count = 0;
  for (auto piece = piece_; piece < sending_.size() && count + 2 <= parts.size(); ++piece) {
    auto skip = piece == piece_ ? at_ : 0;
    for (auto* bytes : {&sending_[piece].head, &sending_[piece].body}) {
      const auto skipped = std::min(skip, bytes->size());
      skip -= skipped;
      if (skipped < bytes->size())
        parts[count++] = {bytes->data() + skipped, bytes->size() - skipped};
    }
  }
  const auto n = ::writev(out_, parts.data(), static_cast<int>(count));
  if (n < 0) return would_block();
  pipe_->sent(static_cast<std::size_t>(n));
  at_ += static_cast<std::size_t>(n);
  while (piece_ < sending_.size()) {
    const auto size = sending_[piece_].head.size() + sending_[piece_].body.size();
    if (at_ < size) return true;
    at_ -= size;
    sending_[piece_++] = {};
  }
  sending_.clear();
  piece_ = 0;
  return true;
}

}  // namespace lafs::sftp
