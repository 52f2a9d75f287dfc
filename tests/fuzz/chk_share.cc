// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/chk_share.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid;

// A header that was accepted has its sections in order and is written back as it was; the share
// hashes behind it name nodes of the tree only.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView share(data, size);
  const auto layout = parse_header(share);
  if (!layout) return 0;
  FUZZ_REQUIRE(equal(serialize_header(*layout), share.first(layout->header_length())));
  FUZZ_REQUIRE(layout->data <= layout->ciphertext_tree);
  FUZZ_REQUIRE(layout->ciphertext_tree <= layout->block_tree);
  FUZZ_REQUIRE(layout->block_tree <= layout->share_hashes);
  FUZZ_REQUIRE(layout->share_hashes < layout->uri_extension);
  const auto section =
      slice(share, layout->share_hashes, layout->uri_extension - layout->share_hashes);
  if (!section) return 0;
  for (std::uint64_t n : {1, 3, 10, 256}) {
    const auto hashes = parse_share_hashes(*section, n);
    if (hashes) FUZZ_REQUIRE(hashes->rbegin()->first < 512);
  }
  return 0;
}
