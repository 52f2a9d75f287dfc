// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/nurl.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid::storage;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text({data, size});
  if (const auto nurl = Nurl::parse(text)) {
    FUZZ_REQUIRE(Nurl::parse(nurl->text()) == *nurl);
    FUZZ_REQUIRE(nurl->pin.size() == 43 && nurl->port != 0 && !nurl->swissnum.empty());
    // It goes into request lines and headers.
    FUZZ_REQUIRE(nurl->text().find_first_of("\r\n \t") == std::string::npos);
  }
  if (const auto furl = Furl::parse(text)) FUZZ_REQUIRE(furl->text() == text);
  for (const auto& nurl : nurls_of(text, std::string(43, 'A'), "s")) {
    FUZZ_REQUIRE(Nurl::parse(nurl.text()) == nurl);
  }
  return 0;
}
