// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/subtree.h"

#include <catch2/catch.hpp>

#include "frontends/fs/mem_fs.h"
#include "frontends/fs/view.h"
#include "tests/conformance/node_rules.h"

namespace lafs::fs {
namespace {

constexpr OpenFlags writing{.read = true, .write = true};

Task<std::shared_ptr<Subtree>> subtree_of(std::shared_ptr<Filesystem> whole, std::string name) {
  auto made = co_await whole->mkdir(root_node, std::move(name), 0755, {});
  REQUIRE(made);
  co_return std::make_shared<Subtree>(std::move(whole), made->id);
}

TEST_CASE("a part of a filesystem keeps every rule for nodes") {
  run([]() -> Task<> {
    auto whole = std::make_shared<MemFs>();
    auto part = co_await subtree_of(whole, "part");
    int count = 0;
    auto failed = co_await conformance::run_node_rules(*part, count);
    for (const auto& line : failed) UNSCOPED_INFO(line);
    CHECK(failed.empty());
    CHECK(count >= 30);
  }());
}

TEST_CASE("a part shows what is below its directory, the same as the whole at every moment") {
  run([]() -> Task<> {
    auto whole = std::make_shared<MemFs>();
    auto part = co_await subtree_of(whole, "part");
    auto top = co_await part->attributes(root_node);
    REQUIRE(top);
    CHECK(top->id == root_node);
    auto made = co_await part->create(root_node, "f", 0644, writing, true, {});
    REQUIRE(made);
    const Bytes data = to_bytes(std::string_view("text"));
    auto written = co_await part->write(made->handle, 0, data);
    CHECK(written);
    auto above = co_await whole->lookup(root_node, "part");
    REQUIRE(above);
    auto seen = co_await whole->lookup(above->id, "f");
    REQUIRE(seen);
    CHECK(seen->id == made->attributes.id);
    CHECK(seen->size == 4);
    auto moved = co_await whole->rename(above->id, "f", root_node, "g", RenameMode::replace);
    CHECK(moved);
    auto gone = co_await part->lookup(root_node, "f");
    CHECK(gone.error().code == Errc::not_found);
    // It goes where its directory goes.
    moved = co_await whole->rename(root_node, "part", root_node, "elsewhere", RenameMode::replace);
    CHECK(moved);
    auto inside = co_await part->mkdir(root_node, "inside", 0755, {});
    REQUIRE(inside);
    auto again = co_await whole->lookup(above->id, "inside");
    REQUIRE(again);
    CHECK(again->id == inside->id);
    co_await part->release(made->handle);
    whole->forget(above->id, 1);
    whole->forget(seen->id, 2);
    whole->forget(inside->id, 2);
  }());
}

TEST_CASE("observers of a part and of the whole hear of each other's changes, nobody of his own") {
  run([]() -> Task<> {
    auto whole = std::make_shared<MemFs>();
    auto part = co_await subtree_of(whole, "part");
    auto part_again = std::make_shared<View>(part, View::Options{});
    View above(whole, {}), below(part, {});
    std::vector<NodeId> heard_above, heard_below, heard_beside;
    auto listener = [](std::vector<NodeId>& to) {
      return Observer{[&to](NodeId parent, const std::string&, NodeId) { to.push_back(parent); },
                      [&to](NodeId node, bool) { to.push_back(node); }};
    };
    const auto on_whole = listener(heard_above), on_part = listener(heard_below),
               on_other = listener(heard_beside);
    above.listen(&on_whole);
    below.listen(&on_part);
    part_again->listen(&on_other);
    auto top = co_await above.lookup(root_node, "part");
    REQUIRE(top);
    auto made = co_await below.create(root_node, "f", 0644, writing, true, {});
    REQUIRE(made);
    CHECK(heard_above == std::vector{top->id});
    CHECK(heard_beside == std::vector{root_node});
    CHECK(heard_below.empty());
    auto removed = co_await above.unlink(top->id, "f");
    CHECK(removed);
    CHECK(heard_below == std::vector{root_node});
    CHECK(heard_beside == std::vector{root_node, root_node});
    CHECK(heard_above.size() == 1);
    co_await below.release(made->handle);
    below.forget(made->attributes.id, 1);
    above.forget(top->id, 1);
    part_again.reset();
  }());
}

}  // namespace
}  // namespace lafs::fs
