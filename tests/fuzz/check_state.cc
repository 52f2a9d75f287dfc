// SPDX-License-Identifier: Apache-2.0

// The state of a deep check: whatever is in the file, marks come out sorted, and written again they
// read the same.

#include "frontends/cli/check_state.h"
#include "tests/fuzz/fuzz.h"

using lafs::cli::CheckState;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto marks = CheckState::parse(lafs::as_text(lafs::ByteView(data, size)));
  FUZZ_REQUIRE(marks.size() <= size / 27);
  std::string again(CheckState::first_line);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    FUZZ_REQUIRE(i == 0 || marks[i - 1] < marks[i]);
    again += CheckState::line_of(marks[i]);
  }
  FUZZ_REQUIRE(CheckState::parse(again) == marks);
  return 0;
}
