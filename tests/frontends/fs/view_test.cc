// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/view.h"

#include <catch2/catch.hpp>

#include "frontends/fs/mem_fs.h"

namespace lafs::fs {
namespace {

TEST_CASE("what one view changes the other views' observers hear, its own does not") {
  run([]() -> Task<> {
    auto files = std::make_shared<MemFs>();
    View one(files, {}), two(files, {});
    int entries = 0, nodes = 0, own = 0;
    Observer listener{[&](NodeId, const std::string&, NodeId) { ++entries; },
                      [&](NodeId, bool) { ++nodes; }};
    Observer mine{[&](NodeId, const std::string&, NodeId) { ++own; }, [&](NodeId, bool) { ++own; }};
    one.listen(&mine);
    two.listen(&listener);
    const OpenFlags writing{.write = true};
    auto made = co_await one.create(root_node, "f", 0644, writing, true, {});
    REQUIRE(made);
    CHECK(entries == 1);
    const Bytes data = to_bytes(std::string_view("x"));
    auto written = co_await one.write(made->handle, 0, data);
    CHECK(written);
    CHECK(nodes == 1);
    auto moved = co_await one.rename(root_node, "f", root_node, "g", RenameMode::replace);
    CHECK(moved);
    CHECK(entries == 3);
    CHECK(own == 0);
    co_await one.release(made->handle);
    one.forget(made->attributes.id, 1);
    auto removed = co_await two.unlink(root_node, "g");
    CHECK(removed);
    CHECK(own == 1);
    CHECK(entries == 3);
  }());
}

TEST_CASE("a read-only view refuses what another one may do") {
  run([]() -> Task<> {
    auto files = std::make_shared<MemFs>();
    View writer(files, {});
    View reader(files, {.read_only = true, .file_mask = 022, .directory_mask = 077});
    auto refused = co_await reader.mkdir(root_node, "d", 0777, {});
    CHECK(refused.error().code == Errc::read_only);
    auto made = co_await writer.mkdir(root_node, "d", 0777, {});
    REQUIRE(made);
    CHECK(made->mode == 0777);
    auto seen = co_await reader.lookup(root_node, "d");
    REQUIRE(seen);
    CHECK(seen->mode == 0700);
    const OpenFlags truncating{.read = true, .truncate = true};
    auto opened = co_await reader.open(seen->id, truncating);
    CHECK(opened.error().code == Errc::read_only);
    reader.forget(seen->id, 2);
  }());
}

}  // namespace
}  // namespace lafs::fs
