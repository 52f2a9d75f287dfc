// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/mem_fs.h"

#include <catch2/catch.hpp>
#include <random>

#include "tests/conformance/node_rules.h"

using namespace lafs;
using fs::MemFs;

namespace {

constexpr fs::OpenFlags read_write{.read = true, .write = true};

void check_rules(MemFs& filesystem) {
  int count = 0;
  const auto failures = run(conformance::run_node_rules(filesystem, count));
  for (const auto& failure : failures) FAIL_CHECK(failure);
  CHECK(count >= 30);
  CHECK(filesystem.references() == 0);
  CHECK(filesystem.handles() == 0);
}

}  // namespace

TEST_CASE("MemFs keeps every rule of a filesystem and holds nothing afterwards") {
  MemFs filesystem;
  check_rules(filesystem);
}

TEST_CASE("MemFs keeps the rules when every operation suspends first") {
  MemFs filesystem({.pause = [] { return sleep_for(std::chrono::microseconds(1)); }});
  check_rules(filesystem);
}

TEST_CASE("a read-only filesystem refuses every change and answers every question") {
  MemFs filesystem({.read_only = true});
  auto check = [](MemFs& f) -> Task<> {
    const fs::Caller me;
    const auto root = fs::root_node;
    const auto code = [](const auto& r) {
      return r ? std::nullopt : std::optional(r.error().code);
    };
    const auto made = co_await f.mkdir(root, "d", 0755, me);
    CHECK(code(made) == Errc::read_only);
    const auto created = co_await f.create(root, "f", 0644, read_write, true, me);
    CHECK(code(created) == Errc::read_only);
    const auto linked = co_await f.symlink(root, "l", "x", me);
    CHECK(code(linked) == Errc::read_only);
    const auto removed = co_await f.unlink(root, "f");
    CHECK(code(removed) == Errc::read_only);
    const auto renamed = co_await f.rename(root, "a", root, "b", fs::RenameMode::replace);
    CHECK(code(renamed) == Errc::read_only);
    const auto changed = co_await f.change(root, fs::Changes{}, std::nullopt);
    CHECK(code(changed) == Errc::read_only);
    const auto named = co_await f.set_xattr(root, "user.a", Bytes{}, fs::XattrMode::set);
    CHECK(code(named) == Errc::read_only);
    const auto asked = co_await f.attributes(root);
    CHECK(asked.has_value());
    const auto looked = co_await f.lookup(root, "f");
    CHECK(code(looked) == Errc::not_found);
  };
  run(check(filesystem));
}

TEST_CASE("a full filesystem refuses writes until something is removed") {
  MemFs filesystem({.capacity = 100'000});
  auto check = [](MemFs& f) -> Task<> {
    const auto root = fs::root_node;
    const auto made = co_await f.create(root, "f", 0644, read_write, true, fs::Caller{});
    REQUIRE(made.has_value());
    const Bytes data(60'000, 'x');
    const auto first = co_await f.write(made->handle, 0, data);
    CHECK(first.has_value());
    const auto second = co_await f.write(made->handle, 60'000, data);
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code == Errc::no_space);
    const auto full = co_await f.space();
    CHECK(full->available == 40'000);
    fs::Changes changes;
    changes.size = 0;
    const auto emptied = co_await f.change(made->attributes.id, changes, std::nullopt);
    CHECK(emptied.has_value());
    const auto third = co_await f.write(made->handle, 60'000, data);
    CHECK(third.has_value() == false);  // the hole before it shares its first piece of memory
    const auto fourth = co_await f.write(made->handle, 0, data);
    CHECK(fourth.has_value());
    const auto gone = co_await f.unlink(root, "f");
    CHECK(gone.has_value());
    co_await f.release(made->handle);
    f.forget(made->attributes.id, 1);
    const auto empty = co_await f.space();
    CHECK(empty->available == 100'000);
  };
  run(check(filesystem));
}

TEST_CASE("times come from the clock that was given") {
  timespec now{.tv_sec = 1000, .tv_nsec = 5};
  MemFs filesystem({.clock = [&] { return now; }});
  auto check = [](MemFs& f, timespec& clock) -> Task<> {
    const auto root = fs::root_node;
    const auto made = co_await f.create(root, "f", 0644, read_write, true, fs::Caller{});
    CHECK(made->attributes.times.modified.tv_sec == 1000);
    CHECK(made->attributes.times.modified.tv_nsec == 5);
    clock.tv_sec = 2000;
    const auto written = co_await f.write(made->handle, 0, as_bytes("x"));
    CHECK(written.has_value());
    auto now_is = co_await f.attributes(made->attributes.id);
    CHECK(now_is->times.modified.tv_sec == 2000);
    CHECK(now_is->times.changed.tv_sec == 2000);
    CHECK(now_is->times.accessed.tv_sec == 1000);
    clock.tv_sec = 3000;
    const auto data = co_await f.read(made->handle, 0, 1);
    CHECK(data.has_value());
    now_is = co_await f.attributes(made->attributes.id);
    CHECK(now_is->times.accessed.tv_sec == 3000);
    CHECK(now_is->times.modified.tv_sec == 2000);
    auto directory = co_await f.attributes(root);
    CHECK(directory->times.modified.tv_sec == 1000);
    const auto gone = co_await f.unlink(root, "f");
    CHECK(gone.has_value());
    directory = co_await f.attributes(root);
    CHECK(directory->times.modified.tv_sec == 3000);
    co_await f.release(made->handle);
    f.forget(made->attributes.id, 1);
    CHECK(f.nodes() == 1);
  };
  run(check(filesystem, now));
}
