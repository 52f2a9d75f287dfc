// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/trimmer.h"

#include <catch2/catch.hpp>

using namespace lafs;

namespace {

fs::Attributes file(std::uint64_t id) { return {.id = {id}, .kind = fs::Kind::file}; }

}  // namespace

TEST_CASE("what the kernel holds is asked back oldest first, and only what is too much") {
  fuse::Trimmer trimmer(3);
  for (std::uint64_t id = 2; id < 7; ++id)
    trimmer.told(file(id), fs::root_node, "f" + std::to_string(id));
  const auto first = trimmer.next(5);
  REQUIRE(first);
  CHECK(first->name == "f2");
  CHECK(trimmer.next(5)->name == "f3");
  CHECK_FALSE(trimmer.next(5));  // two were asked for, and are on their way
  trimmer.forgotten();
  CHECK_FALSE(trimmer.next(4));
  trimmer.forgotten();
  CHECK_FALSE(trimmer.next(3));
}

TEST_CASE("directories are never asked back, and forgotten names do not pile up") {
  fuse::Trimmer trimmer(2);
  trimmer.told({.id = {2}, .kind = fs::Kind::directory}, fs::root_node, "d");
  CHECK_FALSE(trimmer.next(100));
  std::size_t asked = 0;
  for (std::uint64_t id = 3; id < 1000; ++id) {
    trimmer.told(file(id), fs::root_node, "f");
    while (trimmer.next(1)) {  // the kernel forgets by itself
      ++asked;
      trimmer.forgotten();
    }
  }
  CHECK(asked >= 990);
}
