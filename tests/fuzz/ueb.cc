// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/ueb.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid;

// What was understood, written again, is understood in the same way.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ueb = Ueb::parse({data, size});
  if (!ueb) return 0;
  FUZZ_REQUIRE(Ueb::parse(ueb->serialize()) == *ueb);
  const auto geometry = Geometry::make(ueb->size.value_or(1), ueb->k.value_or(1),
                                       ueb->n.value_or(1), ueb->segment_size);
  if (geometry) (void)ueb->check(*geometry);
  return 0;
}
