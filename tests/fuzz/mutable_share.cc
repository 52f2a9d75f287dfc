// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/mutable_share.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid;

// A header that was accepted is what is in the bytes, and judging the rest stays inside them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView share(data, size);
  const auto header = ShareHeader::parse(share);
  if (!header) return 0;
  FUZZ_REQUIRE(equal(header->bytes(), share.first(header->bytes().size())));
  const auto& g = header->geometry();
  FUZZ_REQUIRE(g.k >= 1 && g.k <= g.n && g.n <= 255);
  FUZZ_REQUIRE(header->checkstring().size() < header->signed_prefix().size());
  SignatureCheck signatures(Hash32{});
  FUZZ_REQUIRE(!signatures.check(*header, share));
  for (const std::uint64_t number : {0, 1, 254}) {
    if (!check_body(*header, share, ShareNo{number})) continue;
    FUZZ_REQUIRE(number < g.n);
    if (g.segments() > 0) FUZZ_REQUIRE(block_of(*header, share, 0).size() == g.block_length(0));
  }
  if (const auto key = private_key_in(*header, share)) {
    FUZZ_REQUIRE(!decrypt_private_key(*key, Key16()));
  }
  return 0;
}
