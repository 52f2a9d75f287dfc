// SPDX-License-Identifier: Apache-2.0
#pragma once

// Moves a Pipe's bytes over two file descriptors (standard input and output) on a thread of its
// own. Pipes and sockets are made non-blocking meanwhile.

#include <memory>
#include <thread>

#include "frontends/sftp/pipe.h"
#include "frontends/sftp/wake_fd.h"

namespace lafs::sftp {

class FdMover {
 public:
  FdMover(asio::any_io_executor executor, Pipe::Form form, int in, int out);
  ~FdMover();  // cuts what still runs

  const std::shared_ptr<Pipe>& pipe() const { return pipe_; }
  // Ends when all has been sent after Pipe::finish(), or nothing more can be, or at the deadline.
  Task<> flushed(TimePoint deadline);

 private:
  void run();
  bool receive();
  bool send();

  struct Done;

  asio::any_io_executor executor_;
  int in_, out_;
  std::shared_ptr<WakeFd> wake_;
  std::shared_ptr<Pipe> pipe_;
  std::shared_ptr<Done> done_;  // I/O thread
  bool input_ended_ = false;
  std::vector<Pipe::Piece> sending_;
  std::size_t piece_ = 0, at_ = 0;  // what is sent next
  std::thread thread_;
};

}  // namespace lafs::sftp
