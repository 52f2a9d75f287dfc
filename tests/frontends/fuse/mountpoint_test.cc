// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/mountpoint.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace lafs;
using namespace lafs::fuse;

namespace {

constexpr std::string_view table =
    "21 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "42 21 0:39 / /mnt/drive rw,nosuid - fuse.lafs lafs rw,user_id=0\n"
    "43 21 0:40 / /mnt/with\\040space\\134and\\011more rw shared:5 master:1 - fuse.lafs a\\040b "
    "rw\n"
    "44 42 0:41 / /mnt/drive rw - tmpfs tmpfs rw\n";

}  // namespace

TEST_CASE("the topmost mount of a place is the last line that names it") {
  const auto there = find_mount(table, "/mnt/drive");
  REQUIRE(there);
  CHECK(there->device == "0:41");
  CHECK(there->type == "tmpfs");
  CHECK(find_mount(table.substr(0, table.find("44 42")), "/mnt/drive")->type == "fuse.lafs");
  CHECK_FALSE(find_mount(table, "/mnt"));
  CHECK_FALSE(find_mount(table, "/mnt/drive/"));
  CHECK(find_mount(table, "/")->minor() == 0);
}

TEST_CASE("escaped characters and optional fields of a mount line are understood") {
  const auto there = find_mount(table, "/mnt/with space\\and\tmore");
  REQUIRE(there);
  CHECK(there->minor() == 40);
  CHECK(there->type == "fuse.lafs");
  CHECK(there->source == "a b");
}

TEST_CASE("lines that are no mounts are skipped wherever they are cut off") {
  const std::string line = "42 21 0:39 / /m rw x:1 - fuse.lafs lafs rw";
  for (std::size_t n = 0; n <= line.size(); ++n) {
    const auto found = find_mount(line.substr(0, n), "/m");
    if (found) CHECK(found->device == "0:39");
  }
  CHECK(find_mount(line, "/m"));
  for (auto bad :
       {"", "\n\n", "-", "- - - - - - -", "a b c d /m", "\\", "1 2 3 4 /m\\04 6 - t s o"}) {
    CHECK_FALSE(find_mount(bad, "/m"));
  }
}

TEST_CASE("the root of this machine is mounted, and asking does not hang") {
  REQUIRE(mounted_at("/"));
  CHECK_FALSE(mounted_at("/no/such/place"));
}

TEST_CASE("a mountpoint is a directory that is there, by whatever name") {
  namespace stdfs = std::filesystem;
  const auto base = stdfs::canonical(stdfs::temp_directory_path()) /
                    ("lafs-mountpoint-" + std::to_string(::getpid()));
  stdfs::create_directories(base / "dir");
  stdfs::create_directory_symlink("dir", base / "link");
  std::ofstream(base / "file") << "x";
  CHECK(prepare_mountpoint((base / "dir").string(), "fuse.lafs") == (base / "dir").string());
  CHECK(prepare_mountpoint((base / "dir/").string(), "fuse.lafs") == (base / "dir").string());
  CHECK(prepare_mountpoint((base / "link").string(), "fuse.lafs") == (base / "dir").string());
  CHECK(prepare_mountpoint((base / "file").string(), "fuse.lafs").error().code ==
        Errc::not_directory);
  CHECK(prepare_mountpoint((base / "missing").string(), "fuse.lafs").error().code ==
        Errc::not_found);
  CHECK(prepare_mountpoint((base / "missing/below").string(), "fuse.lafs").error().code ==
        Errc::not_found);
  CHECK(unmount((base / "dir").string(), false).error().code == Errc::not_found);
  stdfs::remove_all(base);
}
