// SPDX-License-Identifier: Apache-2.0
#include "frontends/mount_options.h"

#include <catch2/catch.hpp>

using namespace lafs;

TEST_CASE("the words of mount -o are ours, the kernel's, or only for fstab") {
  const auto words = parse_mount_words(
      "ro,allow_other,uid=1000,gid=0,noatime,nofail,_netdev,user=ann,x-systemd.automount,,"
      "x-gvfs-name=My grid,defaults");
  REQUIRE(words);
  CHECK(words->read_only);
  CHECK(words->allow_other == true);
  CHECK_FALSE(words->default_permissions);
  CHECK(words->uid == 1000u);
  CHECK(words->gid == 0u);
  CHECK(words->kernel == std::vector<std::string>{"noatime"});
  CHECK_FALSE(parse_mount_words("").value().read_only);
  CHECK_FALSE(parse_mount_words("ro,rw").value().read_only);
}

TEST_CASE("every knob of a mount has its word") {
  const auto words = parse_mount_words(
      "umask=077,fmask=133,attr_timeout=0.5,entry_timeout=60,negative_timeout=2,readahead=4M,"
      "durability=grid,sync=close,hard,timeout=30,write_back_delay=1.5,cache_dir=/var/cache/lafs,"
      "cache_mode=writes,cache_size=20GiB,min_free=1G,node=/etc/lafs,fsname=photos,allow_root");
  REQUIRE(words);
  CHECK(words->file_mask == 0133);
  CHECK(words->directory_mask == 077);
  CHECK(words->attr_timeout == 0.5);
  CHECK(words->entry_timeout == 60);
  CHECK(words->negative_timeout == 2);
  CHECK(words->read_ahead_kib == 3906u);
  CHECK(words->durability == MountWords::Durability::grid);
  CHECK(words->sync_on_close);
  CHECK(words->hard);
  CHECK(words->timeout == std::chrono::seconds(30));
  CHECK(words->write_back_delay == std::chrono::milliseconds(1500));
  CHECK(words->cache_dir == "/var/cache/lafs");
  CHECK(words->cache_reads == false);
  CHECK(words->cache_size == 20ull << 30);
  CHECK(words->min_free == 1'000'000'000u);
  CHECK(words->node == "/etc/lafs");
  CHECK(words->fsname == "photos");
  CHECK(words->allow_root);
  CHECK(words->kernel.empty());
}

TEST_CASE("a mount option that nobody knows is named") {
  for (const char* bad :
       {"fast", "uid", "uid=", "uid=x", "uid=-1", "gid=4294967295", "ro=1", "umask=8", "umask=1777",
        "attr_timeout=-1", "attr_timeout=nan", "durability=none", "sync=open",
        "cache_size=", "cache_size=many", "node=", "noatime=1", "timeout=soon"}) {
    CAPTURE(bad);
    const auto words = parse_mount_words(std::string("ro,") + bad + ",nofail");
    REQUIRE_FALSE(words);
    CHECK(words.error().code == Errc::bad_argument);
    CHECK(words.error().context.find("\"" + std::string(bad) + "\"") != std::string::npos);
  }
}
