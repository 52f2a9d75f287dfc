// SPDX-License-Identifier: Apache-2.0
#pragma once

// The file of one mutable share (spec/storage 5.3). Integers are big-endian.
//
//   0    32   magic: "Tahoe mutable container v1\n" (or v2) and 5 fixed bytes
//   32   20   node id of the server that recorded the write enabler
//   52   32   write enabler, in clear
//   84   u64  data length
//   92   u64  offset of the extra leases (468 in an empty share)
//   100       4 lease slots of 92 bytes; owner 0: empty
//   468       data, and room for more up to the extra leases
//   [extra]   u32 count, then that many leases of 92 bytes
//
// write() and truncate() leave the file in a mess when they are cut short: they are for a private
// copy that then takes the share's name (see MutableShares). Leases are changed in place: each is
// one record, and an extra one counts only when it is wholly there.

#include "grid/server/disk.h"
#include "grid/server/leases.h"

namespace lafs::grid::storage {

class MutableSlot {
 public:
  static constexpr std::uint64_t max_data = std::uint64_t{69105} * 1'000'000'000'000;

  // Errc::not_found; Errc::corrupt: not a mutable share, or damaged.
  static Result<MutableSlot> open(const std::filesystem::path& path, bool writable = false);
  static Result<MutableSlot> open(File file);
  // A new, empty share in an empty file.
  static Result<MutableSlot> create(Disk& disk, File file, const LeaseSeed& node_id,
                                    const Secret32& write_enabler);
  // A private copy of this share at `path`, to be changed.
  Result<MutableSlot> copy_to(Disk& disk, const std::filesystem::path& path) const;

  ContainerVersion version() const { return version_; }
  const LeaseSeed& node_id() const { return node_id_; }  // of the write enabler's recorder
  const Secret32& write_enabler() const { return write_enabler_; }
  std::uint64_t data_length() const { return data_length_; }
  std::uint64_t extra_lease_offset() const { return extra_offset_; }
  const File& file() const { return file_; }

  // Cut at the end of the data.
  Result<Bytes> read(std::uint64_t offset, std::uint64_t length) const;
  // Grows the share as needed; what lies between its end and `offset` becomes zero.
  Result<> write(Disk& disk, std::uint64_t offset, ByteView data);
  // Ignored unless shorter than the data.
  Result<> truncate(Disk& disk, std::uint64_t length);

  // Without the empty slots.
  Result<std::vector<Lease>> leases() const;
  Result<std::uint32_t> extra_lease_count() const;
  Result<> add_or_renew(Disk& disk, const LeaseSecrets& secrets, const LeaseSeed& node_id,
                        std::uint32_t expiration);
  // Empties the slots of the leases with this cancel secret. How many leases are left.
  Result<std::size_t> cancel(Disk& disk, const Secret32& cancel_secret);
  // Empties the slots of the leases that `gone` names. How many those were.
  Result<std::size_t> cancel_if(Disk& disk, const std::function<bool(const Lease&)>& gone);

 private:
  explicit MutableSlot(File file) : file_(std::move(file)) {}
  std::uint64_t slot_offset(std::uint64_t slot) const;
  // All slots, empty ones too: the four, then the extra ones.
  Result<std::vector<Lease>> slots() const;
  Result<> write_lengths(Disk& disk);

  File file_;
  ContainerVersion version_ = ContainerVersion::hashed_secrets;
  LeaseSeed node_id_{};
  Secret32 write_enabler_;
  std::uint64_t data_length_ = 0;
  std::uint64_t extra_offset_ = 468;
};

// The 32 bytes a mutable share begins with.
ByteView mutable_magic(ContainerVersion version);
// By the magic. Errc::not_found, io.
Result<bool> is_mutable_share(const File& file);

}  // namespace lafs::grid::storage
