// SPDX-License-Identifier: Apache-2.0
#pragma once

// Leases as they lie in share files (spec/storage 5.2, 5.3). A lease says until when somebody wants
// a share kept; whoever knows its renew secret may prolong it. Integers are big-endian.
//
//   immutable, 72 bytes: u32 owner | 32 renew | 32 cancel | u32 expiration (unix seconds)
//   mutable,   92 bytes: u32 owner | u32 expiration | 32 renew | 32 cancel | 20 node id
//
// Containers of version 1 hold the secrets in clear, those of version 2 their BLAKE2b-256.

#include "grid/base/result.h"
#include "grid/caps/keys.h"

namespace lafs::grid::storage {

enum class ContainerVersion : std::uint8_t { clear_secrets = 1, hashed_secrets = 2 };

inline constexpr std::int64_t lease_duration = 31 * 24 * 3600;  // seconds
inline constexpr std::size_t immutable_lease_size = 72;
inline constexpr std::size_t mutable_lease_size = 92;

struct Lease {
  std::uint32_t owner = 0;
  std::uint32_t expiration = 0;  // unix seconds
  Hash32 renew{};                // as stored: see ContainerVersion
  Hash32 cancel{};
  LeaseSeed node_id{};  // mutable shares only

  bool operator==(const Lease&) const = default;
};

// What is stored of a secret.
Hash32 stored_secret(ContainerVersion version, const Secret32& secret);
Lease make_lease(ContainerVersion version, std::uint32_t owner, std::uint32_t expiration,
                 const LeaseSecrets& secrets, const LeaseSeed& node_id = {});
// Constant time in the secret.
bool has_renew_secret(const Lease& lease, ContainerVersion version, const Secret32& renew);
bool has_cancel_secret(const Lease& lease, ContainerVersion version, const Secret32& cancel);
// 31 days after `now`, within 32 bits.
std::uint32_t expiration_after(std::int64_t now);

Bytes encode_immutable_lease(const Lease& lease);
Lease decode_immutable_lease(std::span<const std::uint8_t, immutable_lease_size> raw);
Bytes encode_mutable_lease(const Lease& lease);
Lease decode_mutable_lease(std::span<const std::uint8_t, mutable_lease_size> raw);

}  // namespace lafs::grid::storage
