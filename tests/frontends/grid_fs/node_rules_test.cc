// SPDX-License-Identifier: Apache-2.0

// What every filesystem promises its frontends, on the grid's.

#include <catch2/catch.hpp>

#include "tests/conformance/node_rules.h"
#include "tests/frontends/grid_fs/drive.h"

using namespace lafs;
using lafs::fs::test::Drive;
using lafs::grid::fake::FakeGrid;

TEST_CASE("the filesystem on a grid keeps every rule for nodes") {
  FakeGrid grid({.servers = 5});
  Pool pool(1);
  auto body = [](FakeGrid& g, Pool& p) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    auto root = co_await Drive::new_root(executor, g, p);
    REQUIRE(root.has_value());
    Drive drive(executor, g, p, *root, {.fs = {}});
    int count = 0;
    auto failed = co_await conformance::run_node_rules(drive.fs(), count);
    for (const auto& line : failed) {
      UNSCOPED_INFO(line);
    }
    CHECK(failed.empty());
    CHECK(count >= 30);
    auto closed = co_await drive.close();
    CHECK(closed.has_value());
  };
  run(body(grid, pool));
}
