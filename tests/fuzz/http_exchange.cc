// SPDX-License-Identifier: Apache-2.0
#include "grid/server/http_exchange.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid::storage;

// The input: lines "method", "target", then "name: value" each, as the HTTP parser hands them on.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const HttpExchange exchange("swissnum", 1000);
  std::vector<std::string> lines(1);
  for (const char c : as_text({data, size})) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  lines.resize(std::max<std::size_t>(2, lines.size()));
  HttpHead head{lines[0], lines[1], {}, std::nullopt};
  // PUT has no body.
  if (lines[0].starts_with('P') && lines[0] != "PUT") head.content_length = size % 4096;
  for (std::size_t i = 2; i < lines.size(); ++i) {
    const auto colon = std::min(lines[i].find(": "), lines[i].size());
    head.headers.emplace_back(lines[i].substr(0, colon),
                              lines[i].substr(std::min(colon + 2, lines[i].size())));
  }
  const auto decision = exchange.decide(head);
  if (const auto* call = std::get_if<HttpCall>(&decision)) {
    // Nothing happens without the swissnum.
    const auto* authorization = head.find("Authorization");
    FUZZ_REQUIRE(authorization && *authorization == "Tahoe-LAFS c3dpc3NudW0=");
    FUZZ_REQUIRE(!call->range || !call->range->empty());
    if (call->endpoint == Endpoint::write) {
      FUZZ_REQUIRE(call->range->size() <= *head.content_length);
    } else {
      FUZZ_REQUIRE(head.content_length.value_or(0) <= call->body_limit);
    }
  } else {
    FUZZ_REQUIRE(std::get<HttpReply>(decision).status >= 400);
  }
  return 0;
}
