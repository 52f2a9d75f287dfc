// SPDX-License-Identifier: Apache-2.0
#pragma once

// The file of one immutable share (spec/storage 5.2). Integers are big-endian.
//
//   0x00  u32  version, 1 or 2
//   0x04  u32  data length at creation, at most 2^32-1; what readers go by is the file's size
//   0x08  u32  number of leases, n
//   0x0c       data: file size - 12 - 72 n bytes
//              n leases of 72 bytes
//
// A lease is added by writing its record and then the count. A kill between the two leaves 72 bytes
// that the count does not cover and that would pass for data; since the length at 0x04 shows them
// up (unless the share is 4 GiB or more), such a file is read as if they were not there, and the
// next lease goes over them.

#include "grid/server/disk.h"
#include "grid/server/leases.h"

namespace lafs::grid::storage {

class ShareFile {
 public:
  // Errc::not_found; Errc::corrupt: of unknown version or damaged.
  static Result<ShareFile> open(File file);
  static Result<ShareFile> open(const std::filesystem::path& path, bool writable = false);
  // A new file for an upload, of its final size but sparse, with one lease.
  static Result<ShareFile> create(Disk& disk, const std::filesystem::path& path,
                                  std::uint64_t share_size, const Lease& lease);

  ContainerVersion version() const { return version_; }
  std::uint64_t data_length() const { return data_length_; }
  const File& file() const { return file_; }

  // Cut at the end of the data.
  Result<Bytes> read(std::uint64_t offset, std::uint64_t length) const;
  // The same if it needs no disk, else nothing.
  std::optional<Bytes> read_cached(std::uint64_t offset, std::uint64_t length) const;
  // Within the data; for uploads only.
  Result<> write(Disk& disk, std::uint64_t offset, ByteView data);

  Result<std::vector<Lease>> leases() const;
  // A lease with this renew secret expires at `expiration` if that is later; without one, it is
  // added.
  Result<> add_or_renew(Disk& disk, const LeaseSecrets& secrets, std::uint32_t owner,
                        std::uint32_t expiration);
  // Takes lease `index` away; later ones move up. How many are left: with none, the caller removes
  // the file.
  Result<std::size_t> cancel(Disk& disk, std::size_t index);

 private:
  ShareFile(File file, ContainerVersion version, std::uint64_t data_length, std::uint32_t leases)
      : file_(std::move(file)), version_(version), data_length_(data_length), leases_(leases) {}
  std::uint64_t lease_offset(std::uint64_t index) const;
  // What of offset..offset+length there is.
  std::size_t cut(std::uint64_t offset, std::uint64_t length) const;

  File file_;
  ContainerVersion version_;
  std::uint64_t data_length_;
  std::uint32_t leases_;
};

// The first 12 bytes, before any lease.
Bytes immutable_header(ContainerVersion version, std::uint64_t share_size);

}  // namespace lafs::grid::storage
