// SPDX-License-Identifier: Apache-2.0
#include "cache/record.h"
#include "cache/tree.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto record = cache::decode({data, size});
  if (!record) return 0;
  const auto again = cache::decode(cache::encode(*record));
  FUZZ_REQUIRE(again && *again == *record);
  // Whatever it says, a tree takes it, and can be checkpointed.
  cache::Tree tree;
  tree.apply(*record);
  std::vector<std::string> warnings;
  tree.mend(warnings);
  for (const auto& change : tree.take_changes()) {
    if (!change.value) continue;
    const auto value = cache::decode(*change.value);
    FUZZ_REQUIRE(value && *value == *cache::decode(cache::encode(*value)));
  }
  return 0;
}
