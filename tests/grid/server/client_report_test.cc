// SPDX-License-Identifier: Apache-2.0
#include "grid/server/client_report.h"

#include <catch2/catch.hpp>

using lafs::grid::storage::ClientReport;

TEST_CASE("a client's report says its software and what it met") {
  const auto report = ClientReport::parse("lafs/0.1.0 timed_out=2 unreachable=1");
  REQUIRE(report);
  CHECK(report->software == "lafs/0.1.0");
  CHECK(report->errors ==
        std::map<std::string, std::uint64_t>{{"timed_out", 2}, {"unreachable", 1}});
  CHECK(ClientReport::parse("lafs/0.1.0")->errors.empty());
}

TEST_CASE("a report cannot make figures without end, nor absurd ones") {
  const auto report = ClientReport::parse("x made_up=1 io=1000001 io busy=x =1  corrupt=3");
  REQUIRE(report);
  CHECK(report->errors == std::map<std::string, std::uint64_t>{{"corrupt", 3}});
  for (const std::string& bad : {std::string(), std::string(" io=1"), std::string(41, 'x'),
                                 std::string("a\x01"), "x " + std::string(1000, 'y')}) {
    CAPTURE(bad);
    CHECK_FALSE(ClientReport::parse(bad));
  }
}
