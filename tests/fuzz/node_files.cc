// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/aliases.h"
#include "grid/node_dir/config_file.h"
#include "grid/node_dir/introducers_yaml.h"
#include "grid/node_dir/servers_yaml.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text({data, size});
  if (const auto file = parse_servers(text, "servers.yaml")) {
    const auto again = parse_servers(format_servers(file->servers), "again");
    FUZZ_REQUIRE(again && again->servers.size() == file->servers.size());
    // An override that was not understood keeps its server out.
    for (const auto& [id, wish] : file->wishes)
      FUZZ_REQUIRE(!wish.forbidden.empty() || wish.host.empty() == (wish.port == 0));
  }
  if (const auto introducers = parse_introducers(text, "introducers.yaml", std::nullopt)) {
    const auto again = parse_introducers(format_introducers(*introducers), "again", std::nullopt);
    FUZZ_REQUIRE(again && *again == *introducers);
  }
  if (const auto config = ConfigFile::parse(text, "tahoe.cfg")) {
    for (const auto& entry : config->entries())
      (void)config->number(entry.section, entry.key, 0, 9);
    (void)config->check_known();
  }
  (void)parse_aliases(text, "aliases");
  return 0;
}
