// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a client that agreed to says about itself when it asks for a server's version, in the header
// X-Lafs-Report: its software, and how often requests to this server failed, and how, since it last
// said so. "lafs/0.1.0 timed_out=2 unreachable=1". Never who it is, nor what it stores.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace lafs::grid::storage {

struct ClientReport {
  std::string software;                         // "lafs/0.1.0"
  std::map<std::string, std::uint64_t> errors;  // by names of Errc

  // It comes from outside: nothing when malformed; unknown words and absurd numbers are left out.
  static std::optional<ClientReport> parse(std::string_view text);
};

}  // namespace lafs::grid::storage
