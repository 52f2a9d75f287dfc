// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/command.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::ftp;

// The first byte says in what pieces the rest arrives: that must not matter.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] + 1u;
  const auto bytes = as_text({data + 1, size - 1});
  LineReader whole, parts;
  whole.add(bytes);
  for (std::size_t at = 0; at < bytes.size(); at += piece) parts.add(bytes.substr(at, piece));
  while (const auto line = whole.next()) {
    const auto same = parts.next();
    FUZZ_REQUIRE(same && same->text == line->text && same->too_long == line->too_long);
    FUZZ_REQUIRE(line->text.size() <= LineReader::line_max);
    const auto command = parse_command(line->text);
    FUZZ_REQUIRE(command.name.size() <= 16);
    FUZZ_REQUIRE(command.argument.find_first_of(std::string_view("\r\n\0", 3)) ==
                 std::string::npos);
    FUZZ_REQUIRE(parse_list_argument(command.argument).path.size() <= command.argument.size());
  }
  FUZZ_REQUIRE(!parts.next());
  return 0;
}
