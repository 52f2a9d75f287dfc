// SPDX-License-Identifier: Apache-2.0
#pragma once

// What accounting and garbage collection want to know of one share file, and its record in the
// usage index (docs/formats/usage-index.md).

#include <filesystem>

#include "grid/server/leases.h"
#include "grid/storage/server.h"

namespace lafs::grid::storage {

// The first bytes of BLAKE2b-256 of a lease's renew secret: enough to tell leases apart and to
// find one whose secret is known, useless for renewing it.
using LeaseKey = std::array<std::uint8_t, 8>;

LeaseKey lease_key(const Secret32& renew);

struct LeaseFacts {
  std::uint32_t owner = 0;
  std::uint32_t expiration = 0;  // unix seconds
  LeaseKey key{};
  bool operator==(const LeaseFacts&) const = default;
};

struct ShareFacts {
  ShareKind kind = ShareKind::immutable;
  std::uint64_t data_bytes = 0;  // that clients can read
  std::uint64_t disk_bytes = 0;  // that would be free without it
  std::vector<LeaseFacts> leases;
  bool operator==(const ShareFacts&) const = default;
};

class MutableSlot;
Result<ShareFacts> share_facts(const MutableSlot& slot);
// Errc::not_found; Errc::corrupt: no container that we know.
Result<ShareFacts> share_facts(const std::filesystem::path& path);

// Errc::refused when the share is of the other kind.
Result<> check_share_kind(const std::filesystem::path& path, ShareKind kind);

Bytes encode_facts(const ShareFacts& facts);
Result<ShareFacts> decode_facts(ByteView record);

}  // namespace lafs::grid::storage
