// SPDX-License-Identifier: Apache-2.0
#include "grid/caps/cap.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text({data, size});
  for (const bool deep_immutable : {false, true}) {
    const Cap cap = Cap::parse(text, deep_immutable);
    FUZZ_REQUIRE(Cap::parse(cap.text(), deep_immutable) == cap);
    if (cap.is_unknown()) FUZZ_REQUIRE(cap.text() == text);
    if (deep_immutable) FUZZ_REQUIRE(!cap.is_mutable());
    if (const auto weaker = cap.read_only()) {
      FUZZ_REQUIRE(weaker->is_read_only());
      FUZZ_REQUIRE(weaker->verifier() == cap.verifier());
    }
    if (const auto verifier = cap.verifier()) {
      FUZZ_REQUIRE(Cap::parse(verifier->text()) == *verifier);
      FUZZ_REQUIRE(verifier->storage_index() == cap.storage_index());
    }
  }
  if (const auto known = Cap::parse_known(text)) FUZZ_REQUIRE(!known->is_unknown());
  return 0;
}
