// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/turns.h"

#include <catch2/catch.hpp>

namespace lafs::sftp {
namespace {

std::shared_ptr<const std::string> path(const char* text) {
  return std::make_shared<const std::string>(text);
}
Claim look(const char* text) { return {{}, {{path(text), false}}}; }
Claim change(const char* text) { return {{}, {{path(text), true}}}; }
Claim read(std::uint64_t handle, std::uint64_t begin, std::uint64_t end) {
  return {{{handle, begin, end, false}}, {}};
}
Claim write(std::uint64_t handle, std::uint64_t begin, std::uint64_t end, const char* file = "/f") {
  return {{{handle, begin, end, true}}, {{path(file), true, true}}};
}

TEST_CASE("only requests that could see each other's effect conflict") {
  CHECK_FALSE(conflict(read(1, 0, 10), read(1, 0, 10)));
  CHECK_FALSE(conflict(write(1, 0, 10), write(1, 10, 20)));
  CHECK(conflict(write(1, 0, 11), write(1, 10, 20)));
  CHECK(conflict(write(1, 0, 10), read(1, 9, 10)));
  CHECK_FALSE(conflict(write(1, 0, 10), read(2, 0, 10)));
  CHECK_FALSE(conflict(look("/a"), look("/a/b")));
  CHECK(conflict(change("/a"), look("/a/b")));
  CHECK(conflict(look("/a"), change("/a/b")));
  CHECK(conflict(look("/"), change("/b")));
  CHECK_FALSE(conflict(change("/a"), change("/ab")));
  // A file that is written: its own size is waited for, its directory's listing is not.
  CHECK(conflict(write(1, 0, 1, "/d/f"), look("/d/f")));
  CHECK_FALSE(conflict(write(1, 0, 1, "/d/f"), look("/d")));
  CHECK(conflict(write(1, 0, 1, "/d/f"), change("/d")));
}

TEST_CASE("a request starts when all it conflicts with is done, in order of arrival") {
  Turns turns;
  const auto a = turns.add(write(1, 0, 10));
  const auto b = turns.add(write(1, 10, 20));
  const auto close = turns.add(write(1, 0, UINT64_MAX));
  const auto other = turns.add(read(2, 0, 5));
  const auto late = turns.add(read(1, 0, 5));
  CHECK(a.now);
  CHECK(b.now);
  CHECK_FALSE(close.now);
  CHECK(other.now);
  CHECK_FALSE(late.now);
  CHECK(turns.done(b.ticket).empty());
  CHECK(turns.done(a.ticket) == std::vector{close.ticket});
  CHECK(turns.done(close.ticket) == std::vector{late.ticket});
  CHECK(turns.done(late.ticket).empty());
  CHECK(turns.outstanding() == 1);
}

TEST_CASE("paths are compared as they would be resolved without links") {
  CHECK(plain_path("/home", "a//b/./c/../d/") == "/home/a/b/d");
  CHECK(plain_path("/home", "/../../x") == "/x");
  CHECK(plain_path("/", "") == "/");
  CHECK(plain_path("/a/b", "..") == "/a");
}

}  // namespace
}  // namespace lafs::sftp
