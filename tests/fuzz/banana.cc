// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/banana.h"

#include "grid/introducer/messages.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid::introducer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  BananaReader reader(size % 2 == 1);
  (void)reader.feed({data, size}, [](BananaReader::Event event) {
    const auto* value = std::get_if<Value>(&event);
    if (!value) return;
    (void)parse_message(*value);
    // What was understood is written so that it is understood again, as the same bytes.
    const auto bytes = BananaWriter().write(*value);
    BananaReader again(false);
    const auto fed = again.feed(bytes, [&](BananaReader::Event back) {
      FUZZ_REQUIRE(BananaWriter().write(std::get<Value>(back)) == bytes);
    });
    FUZZ_REQUIRE(fed.has_value());
  });
  return 0;
}
