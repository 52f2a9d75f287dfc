// SPDX-License-Identifier: Apache-2.0
#include "grid/server/client_report.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto report = grid::storage::ClientReport::parse(as_text({data, size}));
  if (!report) return 0;
  FUZZ_REQUIRE(!report->software.empty() && report->software.size() <= 40);
  std::string again = report->software;
  for (const auto& [name, count] : report->errors)
    again += " " + name + "=" + std::to_string(count);
  const auto back = grid::storage::ClientReport::parse(again);
  FUZZ_REQUIRE(back && back->errors == report->errors && back->software == report->software);
  return 0;
}
