// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/negotiation.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid::introducer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text({data, size});
  (void)check_upgrade(text);
  if (const auto tub = requested_tub(text)) FUZZ_REQUIRE(!tub->empty());
  if (const auto block = parse_block(text)) {
    Negotiation talk("b", "a", "0123456789abcdef", true);
    if (talk.heard_hello(*block)) FUZZ_REQUIRE(block->at("my-tub-id") == "a");
    (void)talk.heard_decision(*block);
    ConnectionLedger ledger("0123456789abcdef");
    FUZZ_REQUIRE(ledger.admit("a", talk.peer_incarnation(), talk.peer_last()).has_value());
  }
  return 0;
}
