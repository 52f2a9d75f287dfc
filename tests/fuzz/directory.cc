// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/edits.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid;

// A table that was accepted is written again as one that means the same, and then as the same
// bytes; an edit does not touch the other entries.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const bool immutable : {false, true}) {
    TableKind kind;
    kind.immutable = immutable;
    if (!immutable) kind.write_key = Key16();
    const auto table = Entries::unpack(Bytes(data, data + size), kind);
    if (!table) continue;
    const auto packed = table->pack();
    const auto again = Entries::unpack(packed, kind);
    FUZZ_REQUIRE(again.has_value());
    FUZZ_REQUIRE(again->pack() == packed);
    FUZZ_REQUIRE(again->size() == table->size());
    const Listing listing({}, *table);
    FUZZ_REQUIRE(Listing({}, *again).children() == listing.children());
    for (std::size_t i = 0; i < table->size(); ++i) {
      const auto entry = table->entry(i);
      FUZZ_REQUIRE(!table->plainly_good(entry) || !table->caps(entry).problem);
    }
    if (immutable) continue;
    EditBatch batch({Edit::Set{"fuzz", Cap(LitCap{})}, Edit::Remove{"fuzz"}},
                    EditOptions{.now = 1});
    const auto edited = batch.apply(*table);
    FUZZ_REQUIRE(edited.has_value());
    if (!table->find("fuzz")) FUZZ_REQUIRE(edited->pack() == packed);
  }
  return 0;
}
