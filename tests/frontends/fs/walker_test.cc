// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/walker.h"

#include <catch2/catch.hpp>

#include "frontends/fs/mem_fs.h"

namespace lafs::fs {
namespace {

// /d/e/f (a file), and links: /in -> d/e, /up -> ../../d, /abs -> /d/e, /self -> self, /gone -> d/x
Task<> fill(MemFs& files) {
  auto d = co_await files.mkdir(root_node, "d", 0755, {});
  auto e = co_await files.mkdir(d->id, "e", 0755, {});
  const OpenFlags writing{.write = true};
  auto f = co_await files.create(e->id, "f", 0644, writing, true, {});
  co_await files.release(f->handle);
  files.forget(f->attributes.id, 1);
  const std::pair<std::string, std::string> links[] = {
      {"in", "d/e"},   {"up", "../../d"}, {"abs", "/d/e"},    {"self", "self"},
      {"gone", "d/x"}, {"file", "d/e/f"}, {"slash", "d/e/f/"}};
  for (const auto& [name, target] : links) {
    auto made = co_await files.symlink(root_node, name, target, {});
    files.forget(made->id, 1);
  }
  files.forget(e->id, 1);
  files.forget(d->id, 1);
}

// What real_path() says: the path, or the error's name.
Task<std::string> real(Walker& walker, std::string path) {
  auto found = co_await walker.real_path(std::move(path));
  co_return found ? *found : std::string(name_of(found.error().code));
}

TEST_CASE("a path is resolved as POSIX says, and never above the root") {
  run([]() -> Task<> {
    MemFs files;
    co_await fill(files);
    Walker walker(files);
    const std::pair<std::string, std::string> cases[] = {
        {"", "/"},
        {".", "/"},
        {"/", "/"},
        {"//d//e/./f", "/d/e/f"},
        {"../../../d", "/d"},
        {"/d/../../d/e/..", "/d"},
        {"in/f", "/d/e/f"},
        {"in/..", "/d"},
        {"up/e", "/d/e"},
        {"d/../abs/f", "/d/e/f"},
        {"file", "/d/e/f"},
        {"gone", "/d/x"},
        {"d/new", "/d/new"},
        {"d/new/x", "not_found"},
        {"d/e/f/", "not_directory"},
        {"d/e/f/x", "not_directory"},
        {"slash", "not_directory"},
        {"self", "symlink_loop"},
        {std::string(5000, 'a'), "name_too_long"},
        {std::string("d\0e", 3), "bad_name"},
    };
    for (const auto& [path, expected] : cases) {
      INFO(path);
      auto got = co_await real(walker, path);
      CHECK(got == expected);
    }
    CHECK(files.references() == 0);
  }());
}

TEST_CASE("a place is a name in a directory, whether something has that name or not") {
  run([]() -> Task<> {
    MemFs files;
    co_await fill(files);
    Walker walker(files);
    {
      auto there = co_await walker.place("in/f");
      REQUIRE(there);
      CHECK(there->name == "f");
      CHECK(there->path == "/d/e/f");
      CHECK(there->node->is(Kind::file));
      auto e = co_await walker.node("d/e");
      CHECK(there->directory.id() == e->id());

      auto absent = co_await walker.place("d/new/");
      REQUIRE(absent);
      CHECK(absent->name == "new");
      CHECK(absent->wants_directory);
      CHECK_FALSE(absent->node);

      // A link at the end is the thing itself, or where it leads to.
      auto link = co_await walker.place("gone");
      CHECK(link->node->is(Kind::symlink));
      auto target = co_await walker.place("gone", LastLink::follow);
      CHECK(target->path == "/d/x");
      CHECK_FALSE(target->node);

      auto root = co_await walker.place("/");
      CHECK(root->name.empty());
      CHECK(root->node->id() == root_node);
      auto above = co_await walker.place("d/e/..");
      CHECK(above->name.empty());
      auto directory = co_await walker.place("d/e/.");
      CHECK(directory->name == "e");
    }
    CHECK(files.references() == 0);
  }());
}

TEST_CASE("node() follows a last link unless told to keep it") {
  run([]() -> Task<> {
    MemFs files;
    co_await fill(files);
    Walker walker(files);
    {
      auto followed = co_await walker.node("file");
      CHECK(followed->is(Kind::file));
      auto kept = co_await walker.node("file", LastLink::keep);
      CHECK(kept->is(Kind::symlink));
      auto slashed = co_await walker.node("in/", LastLink::keep);
      CHECK(slashed->is(Kind::directory));
      auto gone = co_await walker.node("gone");
      CHECK(gone.error().code == Errc::not_found);
    }
    CHECK(files.references() == 0);
  }());
}

}  // namespace
}  // namespace lafs::fs
