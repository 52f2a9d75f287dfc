// SPDX-License-Identifier: Apache-2.0

// Accounts files: what is read and written again reads the same.

#include "frontends/fs/accounts.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text(ByteView(data, size));
  fs::AuthorizedKeys::parse(text);
  const auto accounts = fs::Accounts::parse(text);
  if (!accounts) return 0;
  const auto again = fs::Accounts::parse(accounts->text());
  FUZZ_REQUIRE(again && again->all().size() == accounts->all().size());
  FUZZ_REQUIRE(again->text() == accounts->text());
  return 0;
}
