// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where each share of one file should go (spec/immutable 10.2 and 10.4). Pure: servers are numbers,
// the smaller the earlier in the permuted order.

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "grid/caps/storage_index.h"

namespace lafs::grid {

using ServerNo = std::size_t;

// Share -> servers that hold it.
using ShareMap = std::map<ShareNo, std::set<ServerNo>>;

// Servers of happiness: the size of a maximum matching of shares and servers. 0 for nothing.
std::uint64_t happiness(const ShareMap& shares);

struct PlacementInput {
  std::uint64_t n = 0;              // shares 0..n-1 are to be placed
  std::vector<ServerNo> writable;   // may be given new shares
  std::vector<ServerNo> read_only;  // may only keep what they have
  std::map<ServerNo, std::set<ShareNo>>
      existing;  // what they hold; servers in neither list count not
};

// Every share gets exactly one server; nothing is placed when no server is writable, except that
// shares on read-only servers stay there. The number of distinct servers used is the largest
// possible; existing shares stay where they are when that does not cost happiness.
std::map<ShareNo, ServerNo> place(const PlacementInput& input);

}  // namespace lafs::grid
