// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/messages.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid::storage;

namespace {
// What was understood, said again, is understood in the same way.
template <class Decode, class Encode>
void stable(ByteView body, Decode decode, Encode encode) {
  const auto once = decode(body);
  if (!once) {
    FUZZ_REQUIRE(once.error().code == Errc::protocol);
    return;
  }
  const auto said = encode(*once);
  const auto twice = decode(said);
  FUZZ_REQUIRE(twice && encode(*twice) == said);
  // Nothing grows: each byte of the result came from a byte of the message.
  FUZZ_REQUIRE(said.size() <= 9 * body.size() + 16);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView body(data, size);
  stable(body, decode_allocate,
         [](const auto& r) { return encode_allocate(r.numbers, r.share_size); });
  stable(body, decode_allocation, encode_allocation);
  stable(body, decode_version, encode_version);
  stable(body, decode_share_set, encode_share_set);
  stable(body, decode_required, encode_required);
  stable(body, decode_reason, encode_reason);
  stable(body, decode_read_test_write, encode_read_test_write);
  stable(body, decode_reply, encode_reply);
  return 0;
}
