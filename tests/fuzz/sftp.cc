// SPDX-License-Identifier: Apache-2.0

// SFTP packets: whatever comes, a request refers to nothing outside its packet.

#include "frontends/sftp/request.h"
#include "frontends/sftp/turns.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto decoded = sftp::decode(to_bytes(ByteView(data, size)));
  const auto& request = decoded.request;
  FUZZ_REQUIRE(request.begin <= request.packet.size());
  FUZZ_REQUIRE(request.size <= request.packet.size() - request.begin);
  FUZZ_REQUIRE(request.op == sftp::Op::unknown || request.path.size() <= size);
  FUZZ_REQUIRE(request.second.size() <= size);
  FUZZ_REQUIRE(request.users.size() + request.groups.size() <= size);
  if (decoded.bad) FUZZ_REQUIRE(request.data().empty());
  const auto path = sftp::plain_path("/home", request.path);
  FUZZ_REQUIRE(path.starts_with('/') && sftp::plain_path("/", path) == path);
  FUZZ_REQUIRE(("/" + path + "/").find("/../") == std::string::npos);
  return 0;
}
