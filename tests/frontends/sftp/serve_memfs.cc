// SPDX-License-Identifier: Apache-2.0
// serve_memfs [--slow] [--read-only] [--capacity BYTES] [--home DIR]: speaks SFTP on standard input
// and output over a MemFs until the client goes away. Exit codes: 0 everything was given back, 1
// something is still held.
//
// --slow: operations suspend for a random moment first, so that they overtake each other.
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "frontends/fs/mem_fs.h"
#include "frontends/sftp/fd_mover.h"
#include "frontends/sftp/session.h"

using namespace lafs;

namespace {

Task<> random_pause() {
  static std::mt19937 random(42);
  co_await sleep_for(std::chrono::microseconds(random() % 400));
}

Task<> serve(asio::any_io_executor executor, Pool& pool, fs::Filesystem& files,
             sftp::SessionOptions options) {
  sftp::FdMover mover(executor, sftp::Pipe::Form::packets, STDIN_FILENO, STDOUT_FILENO);
  sftp::Session session(executor, pool, files, mover.pipe(), options);
  co_await session.run();
  mover.pipe()->finish(0);
  co_await mover.flushed(Clock::now() + std::chrono::seconds(5));
}

}  // namespace

int main(int argc, char** argv) {
  fs::MemFs::Options options;
  sftp::SessionOptions session_options{.account = "alice"};
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--slow") {
      options.pause = random_pause;
    } else if (word == "--read-only") {
      options.read_only = true;
    } else if (word == "--capacity" && i + 1 < argc) {
      options.capacity = std::strtoull(argv[++i], nullptr, 10);
    } else if (word == "--home" && i + 1 < argc) {
      session_options.home = argv[++i];
    } else {
      std::fprintf(stderr, "usage: see %s\n", __FILE__);
      return 2;
    }
  }
  std::signal(SIGPIPE, SIG_IGN);
  asio::io_context io;
  Pool pool(1);
  fs::MemFs files(std::move(options));
  TaskGroup group(io.get_executor());
  group.spawn(serve(io.get_executor(), pool, files, session_options));
  io.run();
  if (files.references() == 0 && files.handles() == 0) return 0;
  std::fprintf(stderr, "still held: %llu references, %zu handles\n",
               static_cast<unsigned long long>(files.references()), files.handles());
  return 1;
}
