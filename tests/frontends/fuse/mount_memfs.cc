// SPDX-License-Identifier: Apache-2.0
// mount_memfs DIR [--slow] [--read-only] [--immutable] [--capacity BYTES] [--grace SECONDS]: mounts
// a MemFs at DIR until it is unmounted or gets SIGTERM or SIGINT. Prints "mounted" when DIR is
// mounted. Exit codes: 0 unmounted and everything was given back, 1 something is still held, 2
// usage or no mount, 77 no FUSE here.
//
// --slow: operations suspend for a random moment first, so that they overtake each other.
#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <cstring>
#include <random>

#include "frontends/fs/mem_fs.h"
#include "frontends/fuse/mount.h"

using namespace lafs;

namespace {

Task<> random_pause() {
  static std::mt19937 random(42);
  co_await sleep_for(std::chrono::microseconds(random() % 400));
}

bool fuse_usable() {
  if (::geteuid() != 0) return ::access("/dev/fuse", F_OK) == 0;  // fusermount3 opens it
  const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

Task<> serve(fuse::Mount& mount, asio::signal_set& signals, bool& done) {
  co_await mount.serve();
  signals.cancel();
  done = true;
}

int run_mount(const std::string& directory, fs::MemFs::Options options,
              fuse::MountOptions mount_options) {
  asio::io_context io;
  fs::MemFs filesystem(std::move(options));
  fuse::Mount mount(io.get_executor());
  // Before the mount is there: whoever sees it may send a signal at once.
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code failed, int) {
    if (!failed) mount.stop();
  });
  if (auto started = mount.start(filesystem, directory, mount_options); !started) {
    std::fprintf(stderr, "%s\n", started.error().message().c_str());
    return started.error().code == Errc::not_permitted ? 77 : 2;
  }
  std::puts("mounted");
  std::fflush(stdout);
  bool done = false;
  TaskGroup group(io.get_executor());
  group.spawn(serve(mount, signals, done));
  io.run();
  const bool clean = done && filesystem.references() == 0 && filesystem.handles() == 0;
  if (!clean) {
    std::fprintf(stderr, "still held: %llu references, %zu handles\n",
                 static_cast<unsigned long long>(filesystem.references()), filesystem.handles());
  }
  return clean ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  fs::MemFs::Options options;
  fuse::MountOptions mount_options;
  std::string directory;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--slow") {
      options.pause = random_pause;
    } else if (word == "--read-only") {
      options.read_only = true;
    } else if (word == "--immutable") {
      options.immutable_content = true;
    } else if (word == "--capacity" && i + 1 < argc) {
      options.capacity = std::strtoull(argv[++i], nullptr, 10);
    } else if (word == "--grace" && i + 1 < argc) {
      mount_options.stop_grace = std::chrono::seconds(std::atoi(argv[++i]));
    } else {
      directory = word;
    }
  }
  if (directory.empty()) {
    std::fprintf(stderr, "usage: mount_memfs DIR [--slow] [--read-only] [--immutable]\n");
    return 2;
  }
  if (!fuse_usable()) {
    std::fprintf(stderr, "SKIP: /dev/fuse cannot be opened\n");
    return 77;
  }
  options.uid = ::geteuid();
  options.gid = ::getegid();
  return run_mount(directory, std::move(options), std::move(mount_options));
}
