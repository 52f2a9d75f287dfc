// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which contents of a mutable file: publishes count up, and of two with the same number the
// greater root hash wins (spec/mutable 4).

#include <compare>

#include "grid/crypto/hash.h"

namespace lafs::grid {

struct VersionId {
  std::uint64_t seqnum = 0;  // 1 for the first publish; 0: no version at all
  Hash32 root_hash{};        // of the share hash tree: differs whenever a byte of a share differs
  auto operator<=>(const VersionId&) const = default;

  // "seq3-uca3": for people.
  std::string text() const;
};

}  // namespace lafs::grid
