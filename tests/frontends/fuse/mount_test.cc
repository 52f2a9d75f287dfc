// SPDX-License-Identifier: Apache-2.0
// Mount from inside: what its owner relies on. The kernel's side is a second thread, for nothing
// that runs on the I/O thread may touch the mounted directory.
#include "frontends/fuse/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "frontends/fs/mem_fs.h"
#include "frontends/fuse/mountpoint.h"
#include "grid/base/log.h"

using namespace lafs;

namespace {

// A directory of its own, removed at the end.
struct Directory {
  Directory() {
    char name[] = "/tmp/lafs-mount-test-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Directory() { ::rmdir(path.c_str()); }
  std::string path;
};

// Mounts `filesystem` and runs `user(path)` on another thread; `after` is posted to the I/O thread
// when that is done. Returns when serve() has ended. False when nothing can be mounted here.
bool with_mount(fs::Filesystem& filesystem, fuse::MountOptions options,
                const std::function<void(const std::string&)>& user,
                const std::function<void(fuse::Mount&, TaskGroup&)>& after) {
  const Directory directory;
  asio::io_context io;
  fuse::Mount mount(io.get_executor());
  if (auto started = mount.start(filesystem, directory.path, options); !started) {
    WARN("skipped: " << started.error().message());
    return false;
  }
  TaskGroup group(io.get_executor());
  group.spawn(mount.serve());
  std::thread other([&] {
    user(directory.path);
    asio::post(io, [&] { after(mount, group); });
  });
  io.run();
  other.join();
  CHECK_FALSE(fuse::mounted_at(directory.path));
  CHECK(group.running() == 0);
  return true;
}

void stop(fuse::Mount& mount, TaskGroup&) { mount.stop(); }

// For MemFs::Options::pause. The flags belong to the test, which outlives the filesystem's tasks.
Task<> throw_if(const std::atomic<bool>& yes) {
  if (yes) throw std::runtime_error("a bug");
  co_return;
}
Task<> count_if(const std::atomic<bool>& yes, int& count) {
  if (yes) ++count;
  co_return;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a stopped mount has given everything back and the filesystem lives on") {
  fs::MemFs filesystem;
  std::string seen;
  const bool ran = with_mount(
      filesystem, {},
      [&](const std::string& path) {
        ::mkdir((path + "/d").c_str(), 0755);
        std::ofstream(path + "/d/f") << "content";
        seen = read_file(path + "/d/f");
      },
      stop);
  if (!ran) return;
  CHECK(seen == "content");
  CHECK(filesystem.references() == 0);
  CHECK(filesystem.handles() == 0);
  CHECK(filesystem.nodes() == 3);
  CHECK_FALSE(filesystem.is_closed());
  seen.clear();
  with_mount(  // the same filesystem again
      filesystem, {}, [&](const std::string& path) { seen = read_file(path + "/d/f"); }, stop);
  CHECK(seen == "content");
}

TEST_CASE("what other frontends hold stays theirs when a mount ends") {
  fs::MemFs filesystem;
  const auto made = run(filesystem.mkdir(fs::root_node, "d", 0755, fs::Caller{}));
  REQUIRE(made);
  struct stat s{};
  with_mount(
      filesystem, {}, [&](const std::string& path) { ::stat((path + "/d").c_str(), &s); }, stop);
  CHECK(filesystem.references() == 1);
  filesystem.forget(made->id, 1);
}

TEST_CASE("a cancelled serve() unmounts and ends") {
  fs::MemFs filesystem;
  with_mount(
      filesystem, {}, [](const std::string& path) { std::ofstream(path + "/f") << "x"; },
      [](fuse::Mount&, TaskGroup& group) { group.cancel(); });
  CHECK(filesystem.references() == 0);
}

TEST_CASE("stopping again and again is stopping once") {
  fs::MemFs filesystem;
  with_mount(
      filesystem, {}, [](const std::string&) {},
      [](fuse::Mount& mount, TaskGroup&) {
        mount.stop();
        mount.stop();
      });
  CHECK(filesystem.handles() == 0);
}

TEST_CASE("an exception in the filesystem is EIO for its caller and nothing for the others") {
  std::atomic<bool> throws = false;
  fs::MemFs filesystem({.pause = [&] { return throw_if(throws); }});
  int failed_with = 0;
  std::string seen;
  log::set_level(log::Level::off);
  with_mount(
      filesystem, {},
      [&](const std::string& path) {
        std::ofstream(path + "/f") << "content";
        throws = true;
        if (::mkdir((path + "/d").c_str(), 0755) != 0) failed_with = errno;
        throws = false;
        seen = read_file(path + "/f");
      },
      stop);
  log::set_level(log::Level::info);
  if (failed_with == 0 && seen.empty()) return;  // skipped
  CHECK(failed_with == EIO);
  CHECK(seen == "content");
}

TEST_CASE("pages of content that never changes stay cached from one open to the next") {
  int reads = 0;
  std::atomic<bool> counting = false;
  fs::MemFs filesystem(
      {.immutable_content = true, .pause = [&] { return count_if(counting, reads); }});
  bool right = true;
  const std::string content(300'000, 'x');
  const bool ran = with_mount(
      filesystem, {},
      [&](const std::string& path) {
        std::ofstream(path + "/f") << content;
        right = read_file(path + "/f") == content && right;
        counting = true;
        for (int i = 0; i < 10; ++i) right = read_file(path + "/f") == content && right;
      },
      stop);
  if (!ran) return;
  CHECK(right);
  // OPEN and RELEASE each time, and what looks the file up again: no reads of its content.
  CHECK(reads <= 35);
}

TEST_CASE("a mount at a place that does not fit is refused before anything happens") {
  fs::MemFs filesystem;
  asio::io_context io;
  fuse::Mount missing(io.get_executor()), file(io.get_executor()), options(io.get_executor());
  const auto nowhere = missing.start(filesystem, "/no/such/place", {});
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().code == Errc::not_found);
  const auto on_a_file = file.start(filesystem, "/proc/self/mountinfo", {});
  REQUIRE_FALSE(on_a_file);
  CHECK(on_a_file.error().code == Errc::not_directory);
  const Directory directory;
  fuse::MountOptions bad;
  bad.extra = {"no_such_option_anywhere"};
  const auto with_bad = options.start(filesystem, directory.path, bad);
  REQUIRE_FALSE(with_bad);
  CHECK_FALSE(fuse::mounted_at(directory.path));
}

TEST_CASE("a mount that was started and never served goes away with its owner") {
  fs::MemFs filesystem;
  const Directory directory;
  asio::io_context io;
  {
    fuse::Mount mount(io.get_executor());
    if (!mount.start(filesystem, directory.path, {})) return;
    CHECK(fuse::mounted_at(mount.mountpoint()));
  }
  CHECK_FALSE(fuse::mounted_at(directory.path));
}
