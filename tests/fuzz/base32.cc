// SPDX-License-Identifier: Apache-2.0
#include "grid/base/base32.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text({data, size});
  const auto strict = from_base32(text);
  const auto lax = from_base32_lax(text);
  if (strict) {
    FUZZ_REQUIRE(base32(*strict) == text);
    FUZZ_REQUIRE(lax == strict);
  }
  if (lax) FUZZ_REQUIRE(from_base32(base32(*lax)) == lax);
  if (const auto bytes = from_base64(text)) FUZZ_REQUIRE(from_base64(base64(*bytes)) == bytes);
  if (const auto bytes = from_base64url(text))
    FUZZ_REQUIRE(from_base64url(base64url(*bytes)) == bytes);
  FUZZ_REQUIRE(from_base32(base32({data, size})) == to_bytes(text));
  return 0;
}
