// SPDX-License-Identifier: Apache-2.0
#include "grid/server/advisories.h"
#include "grid/server/collector_state.h"
#include "grid/server/share_facts.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid::storage;

// The files beside the shares: the first byte says which of the parsers gets the rest.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView rest(data + 1, size - 1);
  if (data[0] == 'r') {
    if (auto facts = decode_facts(rest)) FUZZ_REQUIRE(equal(encode_facts(*facts), rest));
  } else if (data[0] == 's') {
    if (auto state = CollectorState::parse(as_text(rest))) {
      FUZZ_REQUIRE(CollectorState::parse(state->text())->text() == state->text());
    }
  } else {
    (void)parse_advisory("2026-11-22T072037.704392--x-0", as_text(rest));
    (void)parse_check(as_text(rest));
  }
  return 0;
}
