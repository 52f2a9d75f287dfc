// SPDX-License-Identifier: Apache-2.0
#include "grid/base/netstring.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteView rest(data, size);
  while (!rest.empty()) {
    const ByteView before = rest;
    const auto value = take_netstring(rest);
    if (!value) {
      FUZZ_REQUIRE(rest.data() == before.data() && rest.size() == before.size());
      break;
    }
    FUZZ_REQUIRE(rest.data() + rest.size() == data + size);
    FUZZ_REQUIRE(value->size() + 3 <= before.size() - rest.size());
    // What is taken is what would be written; only leading zeros of the length may differ.
    const Bytes written = netstring(*value);
    FUZZ_REQUIRE(written.size() <= before.size() - rest.size());
    FUZZ_REQUIRE(
        equal(before.subspan(before.size() - rest.size() - value->size() - 2, value->size() + 2),
              ByteView(written).last(value->size() + 2)));
  }
  return 0;
}
