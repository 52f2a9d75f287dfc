// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/http_date.h"

#include <catch2/catch.hpp>

using namespace lafs::grid::storage;
using namespace std::chrono;

TEST_CASE("times are written and read as HTTP has them") {
  const auto time = sys_days(year(1994) / 11 / 6) + hours(8) + minutes(49) + seconds(37);
  CHECK(http_date(time) == "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110, 5.6.7
  CHECK(http_date(time + milliseconds(900)) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == time);
  for (const char* bad : {"", "Sun, 06 Nov 1994 08:49:37", "Sunday, 06-Nov-94 08:49:37 GMT",
                          "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
                          "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 6 Nov 1994 008:49:37 GMT",
                          "Sun, 06 Nov 1994 08:49:37 UTC", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_http_date(bad));
  }
}
