// SPDX-License-Identifier: Apache-2.0
#include "grid/server/share_file.h"

namespace lafs::grid::storage {

namespace {
constexpr std::uint64_t header_size = 12;
constexpr std::uint64_t lease_count_at = 8;
constexpr std::size_t large_write = 256 << 10;
}  // namespace

Bytes immutable_header(ContainerVersion version, std::uint64_t share_size) {
  Bytes out;
  append_be(out, static_cast<std::uint32_t>(version));
  append_be(out, static_cast<std::uint32_t>(std::min<std::uint64_t>(share_size, UINT32_MAX)));
  append_be(out, std::uint32_t{0});
  return out;
}

Result<ShareFile> ShareFile::open(const std::filesystem::path& path, bool writable) {
  TRY(file, File::open(path, writable));
  return open(std::move(file));
}

Result<ShareFile> ShareFile::open(File file) {
  TRY(size, file.size());
  std::uint8_t header[header_size];
  TRY_DO(file.read_exactly(0, header));
  const auto version = get_be<std::uint32_t>(header);
  const auto length_at_creation = get_be<std::uint32_t>(header + 4);
  const auto leases = get_be<std::uint32_t>(header + lease_count_at);
  if (version != 1 && version != 2) {
    return fail(Errc::corrupt, file.path().string() + ": share file of unknown version");
  }
  const std::uint64_t leases_size = std::uint64_t{leases} * immutable_lease_size;
  if (leases_size > size - header_size) {
    return fail(Errc::corrupt, file.path().string() + ": more leases than the file can hold");
  }
  std::uint64_t data_length = size - header_size - leases_size;
  const bool torn = length_at_creation != UINT32_MAX &&
                    data_length == std::uint64_t{length_at_creation} + immutable_lease_size;
  if (torn) data_length = length_at_creation;
  return ShareFile(std::move(file), static_cast<ContainerVersion>(version), data_length, leases);
}

Result<ShareFile> ShareFile::create(Disk& disk, const std::filesystem::path& path,
                                    std::uint64_t share_size, const Lease& lease) {
  constexpr auto version = ContainerVersion::hashed_secrets;
  TRY(file, disk.create(path));
  auto header = immutable_header(version, share_size);
  put_be<std::uint32_t>(header.data() + lease_count_at, 1);
  TRY_DO(disk.write(file, 0, header));
  TRY_DO(disk.write(file, header_size + share_size, encode_immutable_lease(lease)));
  return ShareFile(std::move(file), version, share_size, 1);
}

std::uint64_t ShareFile::lease_offset(std::uint64_t index) const {
  return header_size + data_length_ + index * immutable_lease_size;
}

std::size_t ShareFile::cut(std::uint64_t offset, std::uint64_t length) const {
  if (offset >= data_length_) return 0;
  return static_cast<std::size_t>(std::min(length, data_length_ - offset));
}

Result<Bytes> ShareFile::read(std::uint64_t offset, std::uint64_t length) const {
  Bytes out(cut(offset, length));
  TRY_DO(file_.read_exactly(header_size + offset, out));
  return out;
}

std::optional<Bytes> ShareFile::read_cached(std::uint64_t offset, std::uint64_t length) const {
  Bytes out(cut(offset, length));
  if (out.empty()) return out;
  const auto whole = file_.read_cached(header_size + offset, out);
  if (!whole || !*whole) return std::nullopt;
  return out;
}

Result<> ShareFile::write(Disk& disk, std::uint64_t offset, ByteView data) {
  if (cut(offset, data.size()) != data.size()) {
    return fail(Errc::bad_range, "a write outside of the share");
  }
  TRY_DO(disk.write(file_, header_size + offset, data));
  if (data.size() >= large_write) {
    disk.begin_writing_out(file_, header_size + offset, data.size());
  }
  return {};
}

Result<std::vector<Lease>> ShareFile::leases() const {
  Bytes raw(std::size_t{leases_} * immutable_lease_size);
  TRY_DO(file_.read_exactly(lease_offset(0), raw));
  std::vector<Lease> out;
  out.reserve(leases_);
  for (std::size_t at = 0; at < raw.size(); at += immutable_lease_size) {
    out.push_back(decode_immutable_lease(std::span<const std::uint8_t, immutable_lease_size>(
        raw.data() + at, immutable_lease_size)));
  }
  return out;
}

Result<> ShareFile::add_or_renew(Disk& disk, const LeaseSecrets& secrets, std::uint32_t owner,
                                 std::uint32_t expiration) {
  TRY(all, leases());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!has_renew_secret(all[i], version_, secrets.renew)) continue;
    if (expiration <= all[i].expiration) return {};
    all[i].expiration = expiration;
    return disk.write(file_, lease_offset(i), encode_immutable_lease(all[i]));
  }
  const auto lease = make_lease(version_, owner, expiration, secrets);
  TRY_DO(disk.write(file_, lease_offset(leases_), encode_immutable_lease(lease)));
  // The data ends where the leases begin, which the count tells together with the file's length: a
  // power cut must not leave the one without the other.
  TRY_DO(disk.sync(file_));
  std::uint8_t count[4];
  put_be<std::uint32_t>(count, leases_ + 1);
  if (auto counted = disk.write(file_, lease_count_at, count); !counted) return counted;
  ++leases_;
  return {};
}

Result<std::size_t> ShareFile::cancel(Disk& disk, std::size_t index) {
  TRY(all, leases());
  if (index >= all.size()) return fail(Errc::bad_argument, "there is no such lease");
  all.erase(all.begin() + static_cast<std::ptrdiff_t>(index));
  Bytes moved;
  for (std::size_t i = index; i < all.size(); ++i) append(moved, encode_immutable_lease(all[i]));
  if (!moved.empty()) {
    // Those that stay are at their new places before the count leaves their old ones out.
    TRY_DO(disk.write(file_, lease_offset(index), moved));
    TRY_DO(disk.sync(file_));
  }
  std::uint8_t count[4];
  put_be<std::uint32_t>(count, static_cast<std::uint32_t>(all.size()));
  if (auto counted = disk.write(file_, lease_count_at, count); !counted) {
    return std::unexpected(std::move(counted).error());
  }
  // As in add_or_renew().
  TRY_DO(disk.sync(file_));
  leases_ = static_cast<std::uint32_t>(all.size());
  if (auto cut_off = disk.resize(file_, lease_offset(leases_)); !cut_off) {
    return std::unexpected(std::move(cut_off).error());
  }
  return all.size();
}

}  // namespace lafs::grid::storage
