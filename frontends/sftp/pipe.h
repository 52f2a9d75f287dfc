// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bridge between the I/O thread, which owns all state, and the thread that moves one client's
// bytes (over libssh, or standard input and output). Two bounded queues behind one small mutex:
// what the client sent, cut into packets or as it came, and what is to be sent.
//
// Each side's calls are for that side's thread only. A side that waits is woken: the I/O thread by
// a post to its executor, the mover by `wake`, which is called from the I/O thread.
// Held by shared_ptr from both sides; the one that is left finds an end.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "grid/base/bytes.h"
#include "grid/base/task.h"

namespace lafs::sftp {

class Pipe : public std::enable_shared_from_this<Pipe> {
 public:
  enum class Form { packets, bytes };  // SFTP's, each with a length in front; or just bytes

  Pipe(asio::any_io_executor executor, Form form, std::function<void()> wake);

  // ---- the I/O thread ----

  // The next packet without its length, or the next bytes; nothing at the end. A packet that is
  // too large ends the stream with too_large; a mover that broke off, with closed.
  Task<std::optional<Bytes>> read();
  // `body` follows `head` at once: a large one is not copied for a small head.
  void write(Bytes head, Bytes body = {});
  // Waits until less than `bytes` are queued to be sent. False when they never will be.
  Task<bool> room_to_write(std::size_t bytes);
  // Why read() ended, when it was no orderly end.
  std::optional<Error> problem() const;
  // For people: goes out beside the stream (standard error), a few lines at most.
  void complain(std::string_view text);
  // After what is queued the stream ends with this status. Nothing is written after it.
  void finish(int status);
  // Tells the mover to cut the stream now.
  void cut();

  // ---- the mover ----

  // Where the next bytes go: fill some of it and say how many. Empty while the I/O thread has not
  // taken enough of what is there (`wake` comes), or after a packet that is too large.
  MutableBytes space();
  void filled(std::size_t size);
  void end_of_input();  // orderly
  void broken();        // nothing comes and nothing goes any more
  // Moves everything that is queued to be sent to `out`; true when there was something.
  struct Piece {
    Bytes head, body;
  };
  bool take(std::vector<Piece>& out);
  std::string take_complaints();
  // Says how much of what was taken has been sent.
  void sent(std::size_t bytes);
  std::optional<int> finished() const;  // once all has been taken
  bool is_cut() const;

 private:
  void wake_reader_locked();
  void wake_writer_locked();

  asio::any_io_executor executor_;
  Form form_;
  std::function<void()> wake_;
  Signal readable_, writable_;  // I/O thread
  std::vector<Bytes> taken_;    // I/O thread: of `in_`, backwards

  // The mover's own: the packet that is coming in.
  std::uint8_t length_[4];
  Bytes coming_;
  std::size_t have_ = 0;
  bool in_length_ = true;

  mutable std::mutex mutex_;  // guards what follows
  std::vector<Bytes> in_;
  std::size_t in_bytes_ = 0;
  bool reader_waits_ = false, mover_waits_ = false, writer_waits_ = false;
  bool ended_ = false, broken_ = false, cut_ = false;
  std::optional<Error> problem_;
  std::vector<Piece> out_;
  std::size_t out_bytes_ = 0;  // queued, or taken and not yet sent
  std::optional<int> status_;
  std::string complaints_;
};

}  // namespace lafs::sftp
