// SPDX-License-Identifier: Apache-2.0
#pragma once

// private/introducers.yaml: where a node hears of storage servers (spec/storage 8.7).

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grid/base/result.h"

namespace lafs::grid {

struct IntroducerEntry {
  std::string petname;  // names the cache file: private/introducer_<petname>_cache.yaml
  std::string furl;     // checked
  bool operator==(const IntroducerEntry&) const = default;
};

// `yaml`: the file's text, nothing when there is no file. `from_config`: [client] introducer.furl,
// which is the introducer named "default". Errc::bad_config, with file and line: a file that says
// nothing at all, an address that is none, or two that are named "default".
Result<std::vector<IntroducerEntry>> parse_introducers(std::optional<std::string_view> yaml,
                                                       const std::string& file,
                                                       std::optional<std::string_view> from_config);

// The same file again.
std::string format_introducers(const std::vector<IntroducerEntry>& introducers);

}  // namespace lafs::grid
