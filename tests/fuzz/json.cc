// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/metadata.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid;

// What was accepted is printed as ASCII that reads and prints the same again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = parse_json(as_text({data, size}));
  const bool object = parsed && parsed->as<Json::Object>();
  FUZZ_REQUIRE(is_json_object(as_text({data, size})) == object);
  if (!parsed) return 0;
  const auto printed = print_json(*parsed);
  for (const char c : printed) FUZZ_REQUIRE(c >= 0x20 && c < 0x7f);
  const auto again = parse_json(printed);
  FUZZ_REQUIRE(again.has_value());
  FUZZ_REQUIRE(print_json(*again) == printed);
  if (auto metadata = Metadata::parse(printed)) {
    const auto facts = metadata->posix();
    metadata->set_posix(facts);
    FUZZ_REQUIRE(metadata->posix() == facts);
  }
  return 0;
}
