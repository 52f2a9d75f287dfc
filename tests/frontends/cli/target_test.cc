// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/target.h"

#include <catch2/catch.hpp>

using namespace lafs;
using namespace lafs::cli;
using Kind = Target::Kind;
using Names = std::vector<std::string>;

namespace {
const std::string directory =
    "URI:DIR2:yqqyo4rdmqguylzg3tj6xlgfce:ujspn37cprfqa6zmr2puyay5qayucwrntcbrqywfsna5am6t3lxa";
}

TEST_CASE("a lone minus is a pipe") {
  CHECK(parse_target("-").value().kind == Kind::pipe);
  CHECK(parse_target("--").value().kind == Kind::local);
  CHECK(parse_target("./-").value().local == "./-");
}

TEST_CASE("a name before a colon is an alias") {
  const auto t = parse_target("work:a/b c/d").value();
  CHECK(t.kind == Kind::grid);
  CHECK(t.alias == "work");
  CHECK(t.cap.empty());
  CHECK(t.path == Names{"a", "b c", "d"});
  CHECK_FALSE(t.is_folder);
  CHECK(t.text() == "work:a/b c/d");
  CHECK(parse_target("work:").value().path.empty());
  CHECK(parse_target("work:/a/").value().path == Names{"a"});
  CHECK(parse_target("work:/a/").value().is_folder);
  CHECK(parse_target("work:a:b").value().path == Names{"a:b"});
}

TEST_CASE("a slash before the colon makes it a local path") {
  CHECK(parse_target("./work:a").value().local == "./work:a");
  CHECK(parse_target("/tmp/x:y").value().kind == Kind::local);
  CHECK(parse_target("plain").value().local == "plain");
  CHECK(parse_target("dir/").value().is_folder);
}

TEST_CASE("a cap may have a path behind it") {
  const auto alone = parse_target(directory).value();
  CHECK(alone.kind == Kind::grid);
  CHECK(alone.cap == directory);
  CHECK(alone.path.empty());
  const auto deep = parse_target(directory + "/a//./b/").value();
  CHECK(deep.cap == directory);
  CHECK(deep.path == Names{"a", "b"});
  CHECK(deep.is_folder);
  CHECK(parse_target("ro." + directory).value().cap == "ro." + directory);
}

TEST_CASE("messages never show a cap's keys") {
  const auto t = parse_target(directory + "/a").value();
  CHECK(t.text().find("yqqyo") == std::string::npos);
  CHECK(t.text() == "URI:DIR2:[redacted]/a");
}

TEST_CASE("what cannot be a place is refused") {
  CHECK(parse_target("").error().code == Errc::bad_argument);
  CHECK(parse_target(":x").error().code == Errc::bad_name);
  CHECK(parse_target("a b:x").error().code == Errc::bad_name);
  CHECK(parse_target("work:a/../b").error().code == Errc::bad_name);
  CHECK(parse_target(directory + "/..").error().code == Errc::bad_name);
  CHECK(parse_grid_target("-").error().code == Errc::bad_argument);
}

TEST_CASE("where only the grid is meant, a plain path is below the alias tahoe") {
  const auto t = parse_grid_target("a/b").value();
  CHECK(t.kind == Kind::grid);
  CHECK(t.alias == "tahoe");
  CHECK(t.path == Names{"a", "b"});
  CHECK(parse_grid_target("").value().path.empty());
  CHECK(parse_grid_target("a/b:c").value().path == Names{"a", "b:c"});
  CHECK(parse_grid_target("work:x").value().alias == "work");
  CHECK(parse_grid_target(directory).value().cap == directory);
}
