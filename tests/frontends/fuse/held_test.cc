// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/held.h"

#include <catch2/catch.hpp>

#include "frontends/fs/mem_fs.h"

using namespace lafs;
using fuse::Held;

namespace {
constexpr fs::OpenFlags read_write{.read = true, .write = true};
}

TEST_CASE("what the kernel forgets goes back, and never more than it held") {
  fs::MemFs files;
  Held held(files);
  const auto check = [](fs::MemFs& f, Held& h) -> Task<> {
    const auto made = co_await f.mkdir(fs::root_node, "d", 0755, fs::Caller{});
    h.reference(made->id);
    const auto again = co_await f.lookup(fs::root_node, "d");
    h.reference(again->id);
    // Somebody else's, through another frontend.
    const auto foreign = co_await f.lookup(fs::root_node, "d");
    CHECK(f.references() == 3);
    h.forget(made->id, 1);
    CHECK(f.references() == 2);
    h.forget(made->id, 1'000'000);
    CHECK(f.references() == 1);
    h.forget(made->id, 1);
    h.forget({12345}, 7);
    CHECK(f.references() == 1);
    f.forget(foreign->id, 1);
  };
  run(check(files, held));
}

TEST_CASE("an unmount gives back every reference and every handle") {
  fs::MemFs files;
  Held held(files);
  const auto check = [](fs::MemFs& f, Held& h) -> Task<> {
    for (const std::string name : {"a", "b"}) {
      const auto made =
          co_await f.create(fs::root_node, name, 0644, read_write, true, fs::Caller{});
      h.reference(made->attributes.id);
      h.opened(made->handle, made->attributes.id, Held::HandleKind::file);
    }
    const auto listing = co_await f.open_directory(fs::root_node);
    h.opened(*listing, fs::root_node, Held::HandleKind::directory);
    const auto gone = co_await f.unlink(fs::root_node, "a");
    CHECK(gone.has_value());
    CHECK(f.handles() == 3);
    co_await h.give_back_all();
    CHECK(f.handles() == 0);
    CHECK(f.references() == 0);
    CHECK(f.nodes() == 2);  // the root and "b"
    co_await h.give_back_all();
  };
  run(check(files, held));
}

TEST_CASE("a handle is released once, and known to append only if it does") {
  fs::MemFs files;
  Held held(files);
  held.opened({1}, fs::NodeId{77}, Held::HandleKind::file);
  held.opened({2}, fs::NodeId{77}, Held::HandleKind::append);
  CHECK_FALSE(held.appends({1}));
  CHECK(held.appends({2}));
  CHECK_FALSE(held.appends({3}));
  CHECK(held.closed({2}));
  CHECK_FALSE(held.closed({2}));
  CHECK_FALSE(held.closed({3}));
  CHECK(held.closed({1}));
}
