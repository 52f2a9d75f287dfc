// SPDX-License-Identifier: Apache-2.0
#include "grid/server/leases.h"

namespace lafs::grid::storage {

namespace {
template <std::size_t N>
void take(std::array<std::uint8_t, N>& to, const std::uint8_t* from) {
  std::copy_n(from, N, to.begin());
}
}  // namespace

Hash32 stored_secret(ContainerVersion version, const Secret32& secret) {
  if (version == ContainerVersion::hashed_secrets) return blake2b_256(secret.view());
  Hash32 out;
  take(out, secret.data());
  return out;
}

Lease make_lease(ContainerVersion version, std::uint32_t owner, std::uint32_t expiration,
                 const LeaseSecrets& secrets, const LeaseSeed& node_id) {
  return {owner, expiration, stored_secret(version, secrets.renew),
          stored_secret(version, secrets.cancel), node_id};
}

bool has_renew_secret(const Lease& lease, ContainerVersion version, const Secret32& renew) {
  return equal_secret(lease.renew, stored_secret(version, renew));
}

bool has_cancel_secret(const Lease& lease, ContainerVersion version, const Secret32& cancel) {
  return equal_secret(lease.cancel, stored_secret(version, cancel));
}

std::uint32_t expiration_after(std::int64_t now) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(now + lease_duration, 0, UINT32_MAX));
}

Bytes encode_immutable_lease(const Lease& lease) {
  Bytes out;
  out.reserve(immutable_lease_size);
  append_be(out, lease.owner);
  append(out, lease.renew);
  append(out, lease.cancel);
  append_be(out, lease.expiration);
  return out;
}

Lease decode_immutable_lease(std::span<const std::uint8_t, immutable_lease_size> raw) {
  Lease lease;
  lease.owner = get_be<std::uint32_t>(raw.data());
  take(lease.renew, raw.data() + 4);
  take(lease.cancel, raw.data() + 36);
  lease.expiration = get_be<std::uint32_t>(raw.data() + 68);
  return lease;
}

Bytes encode_mutable_lease(const Lease& lease) {
  Bytes out;
  out.reserve(mutable_lease_size);
  append_be(out, lease.owner);
  append_be(out, lease.expiration);
  append(out, lease.renew);
  append(out, lease.cancel);
  append(out, lease.node_id);
  return out;
}

Lease decode_mutable_lease(std::span<const std::uint8_t, mutable_lease_size> raw) {
  Lease lease;
  lease.owner = get_be<std::uint32_t>(raw.data());
  lease.expiration = get_be<std::uint32_t>(raw.data() + 4);
  take(lease.renew, raw.data() + 8);
  take(lease.cancel, raw.data() + 40);
  take(lease.node_id, raw.data() + 72);
  return lease;
}

}  // namespace lafs::grid::storage
