// SPDX-License-Identifier: Apache-2.0
#include "cache/segments.h"

#include <catch2/catch.hpp>

using namespace lafs;
using cache::Segments;

namespace {
Segments::Key key(std::uint64_t n) { return {grid::StorageIndex{}, grid::SegmentNo{n}}; }
Segments::Data bytes(std::size_t n) { return std::make_shared<const Bytes>(n); }
}  // namespace

TEST_CASE("the segment that was not used for longest goes first") {
  Segments segments(300);
  segments.keep(key(1), bytes(100));
  segments.keep(key(2), bytes(100));
  segments.keep(key(3), bytes(100));
  CHECK(segments.find(key(1)));
  segments.keep(key(4), bytes(100));
  CHECK(segments.find(key(1)));
  CHECK_FALSE(segments.find(key(2)));
  CHECK(segments.bytes() == 300);
}

TEST_CASE("the segments never take more than their bound") {
  Segments segments(1000);
  for (std::uint64_t i = 0; i < 500; ++i) {
    segments.keep(key(i % 37), bytes(i * 7 % 400));
    REQUIRE(segments.bytes() <= 1000);
  }
  segments.keep(key(99), bytes(1001));
  CHECK_FALSE(segments.find(key(99)));
}
