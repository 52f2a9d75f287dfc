// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include "frontends/cli/bench/bench_cpu.h"
#include "frontends/cli/bench/measure.h"

using namespace lafs;
using namespace lafs::cli;
using namespace std::chrono_literals;

TEST_CASE("figures are printed as JSON, with null for what they do not have") {
  const Figure figures[] = {
      {"plain", 1740.25, "MB/s"},
      against({"with a limit", 290, "MB/s"}, 580),
      {"a \"quoted\" \\ name\n", std::numeric_limits<double>::infinity(), "1/s"},
  };
  CHECK(figures_json(figures) ==
        "{\"figures\":[{\"name\":\"plain\",\"value\":1740.25,\"unit\":\"MB/s\","
        "\"limit\":null,\"ratio\":null},"
        "{\"name\":\"with a limit\",\"value\":290,\"unit\":\"MB/s\",\"limit\":580,\"ratio\":0.5},"
        "{\"name\":\"a \\\"quoted\\\" \\\\ name\\u000a\",\"value\":null,\"unit\":\"1/s\","
        "\"limit\":null,\"ratio\":null}]}\n");
  CHECK(figures_json({}) == "{\"figures\":[]}\n");
}

TEST_CASE("figures are printed as an aligned table") {
  const Figure figures[] = {{"short", 7.125, "1/s"},
                            against({"much longer", 1234.5, "MB/s"}, 2469)};
  CHECK(figures_table(figures) ==
        "short             7.12 1/s\n"
        "much longer       1234 MB/s   limit 2469   ratio 0.50\n");
}

TEST_CASE("a figure against no limit at all has no ratio") {
  CHECK_FALSE(against({"x", 1, "MB/s"}, 0).ratio.has_value());
}

TEST_CASE("a rate is measured even when one step takes longer than the budget") {
  int steps = 0;
  CHECK(rate(0ns, [&] { ++steps; }) > 0);
  CHECK(steps == 6);  // one to warm up, one in each of five rounds
}

TEST_CASE("hashing bounds encoding by the bytes that are hashed") {
  CHECK(chk_hashing_limit(1740, 1, 1) == Approx(580));
  CHECK(chk_hashing_limit(1600, 3, 10) == Approx(300));
}

TEST_CASE("the CPU benchmark measures everything it names, once") {
  const auto figures = bench_cpu(3, 10, 1ms);
  REQUIRE(figures);
  std::set<std::string> names;
  for (const Figure& figure : *figures) {
    INFO(figure.name);
    CHECK(figure.value > 0);
    CHECK_FALSE(figure.unit.empty());
    CHECK(names.insert(figure.name).second);
  }
  CHECK(names.size() == 12);
  CHECK(bench_cpu(0, 5, 1ms).error().code == Errc::bad_argument);
  CHECK(bench_cpu(3, 257, 1ms).error().code == Errc::bad_argument);
}
