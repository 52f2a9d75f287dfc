// SPDX-License-Identifier: Apache-2.0
#include "frontends/mount_options.h"

#include <catch2/catch.hpp>

using namespace lafs;

TEST_CASE("the words of mount -o are ours, the kernel's, or only for fstab") {
  const auto words = parse_mount_words(
      "ro,allow_other,uid=1000,gid=0,noatime,nofail,_netdev,x-systemd.automount,,");
  REQUIRE(words);
  CHECK(words->read_only);
  CHECK(words->allow_other == true);
  CHECK_FALSE(words->default_permissions);
  CHECK(words->uid == 1000u);
  CHECK(words->gid == 0u);
  CHECK(words->kernel == std::vector<std::string>{"noatime"});
  CHECK_FALSE(parse_mount_words("").value().read_only);
}

TEST_CASE("a mount option that nobody knows is named") {
  const auto words = parse_mount_words("ro,fast");
  REQUIRE_FALSE(words);
  CHECK(words.error().code == Errc::bad_argument);
  CHECK(words.error().context.find("\"fast\"") != std::string::npos);
  for (const char* bad : {"uid", "uid=", "uid=x", "uid=-1", "gid=4294967295", "ro=1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_mount_words(bad));
  }
}
