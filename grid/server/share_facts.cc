// SPDX-License-Identifier: Apache-2.0
#include "grid/server/share_facts.h"

#include "grid/server/mutable_slot.h"
#include "grid/server/share_file.h"

namespace lafs::grid::storage {

namespace {

constexpr std::uint8_t record_version = 1;
constexpr std::size_t record_head = 18;
constexpr std::size_t lease_size = 16;

LeaseFacts facts_of(const Lease& lease, ContainerVersion version) {
  // Containers of version 1 hold the secret itself, which an index has no business keeping.
  const auto hashed =
      version == ContainerVersion::hashed_secrets ? lease.renew : blake2b_256(lease.renew);
  LeaseFacts out{lease.owner, lease.expiration, {}};
  std::copy_n(hashed.begin(), out.key.size(), out.key.begin());
  return out;
}

}  // namespace

LeaseKey lease_key(const Secret32& renew) {
  const auto hashed = blake2b_256(renew.view());
  LeaseKey key;
  std::copy_n(hashed.begin(), key.size(), key.begin());
  return key;
}

Result<ShareFacts> share_facts(const MutableSlot& slot) {
  ShareFacts out;
  out.kind = ShareKind::mutable_;
  out.data_bytes = slot.data_length();
  TRY(disk_bytes, slot.file().disk_size());
  out.disk_bytes = disk_bytes;
  TRY(leases, slot.leases());
  for (const auto& lease : leases) out.leases.push_back(facts_of(lease, slot.version()));
  return out;
}

Result<ShareFacts> share_facts(const std::filesystem::path& path) {
  TRY(file, File::open(path));
  TRY(is_mutable, is_mutable_share(file));
  if (is_mutable) {
    TRY(slot, MutableSlot::open(std::move(file)));
    return share_facts(slot);
  }
  ShareFacts out;
  TRY(disk_bytes, file.disk_size());
  out.disk_bytes = disk_bytes;
  TRY(share, ShareFile::open(std::move(file)));
  TRY(leases, share.leases());
  out.data_bytes = share.data_length();
  for (const auto& lease : leases) out.leases.push_back(facts_of(lease, share.version()));
  return out;
}

Result<> check_share_kind(const std::filesystem::path& path, ShareKind kind) {
  TRY(file, File::open(path));
  TRY(is_mutable, is_mutable_share(file));
  if (is_mutable == (kind == ShareKind::mutable_)) return {};
  return fail(Errc::refused,
              is_mutable ? "mutable shares are there" : "immutable shares are there");
}

// u8 version | u8 kind | u64 data | u64 disk | leases: u32 owner | u32 expiration | 8 key
Bytes encode_facts(const ShareFacts& facts) {
  Bytes out{record_version, static_cast<std::uint8_t>(facts.kind == ShareKind::mutable_)};
  out.reserve(record_head + facts.leases.size() * lease_size);
  append_be(out, facts.data_bytes);
  append_be(out, facts.disk_bytes);
  for (const auto& lease : facts.leases) {
    append_be(out, lease.owner);
    append_be(out, lease.expiration);
    append(out, lease.key);
  }
  return out;
}

Result<ShareFacts> decode_facts(ByteView record) {
  if (record.size() < record_head || record[0] != record_version || record[1] > 1 ||
      (record.size() - record_head) % lease_size != 0) {
    return fail(Errc::corrupt, "not a record of the usage index");
  }
  ShareFacts out;
  out.kind = record[1] ? ShareKind::mutable_ : ShareKind::immutable;
  out.data_bytes = get_be<std::uint64_t>(record.data() + 2);
  out.disk_bytes = get_be<std::uint64_t>(record.data() + 10);
  for (auto rest = record.subspan(record_head); !rest.empty(); rest = rest.subspan(lease_size)) {
    LeaseFacts lease{
        get_be<std::uint32_t>(rest.data()), get_be<std::uint32_t>(rest.data() + 4), {}};
    std::copy_n(rest.data() + 8, lease.key.size(), lease.key.begin());
    out.leases.push_back(lease);
  }
  return out;
}

}  // namespace lafs::grid::storage
