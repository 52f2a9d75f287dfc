// SPDX-License-Identifier: Apache-2.0
#include "grid/server/mutable_slot.h"

namespace lafs::grid::storage {

namespace {

constexpr std::uint64_t magic_size = 32;
constexpr std::uint64_t lengths_at = 84;
constexpr std::uint64_t slots_at = 100;
constexpr std::uint64_t fixed_slots = 4;
constexpr std::uint64_t data_at = slots_at + fixed_slots * mutable_lease_size;
constexpr std::uint64_t count_size = 4;  // of the number of extra leases
static_assert(data_at == 468);

constexpr std::string_view magic_v1 = "Tahoe mutable container v1\n\x75\x09\x44\x03\x8e";
constexpr std::string_view magic_v2 = "Tahoe mutable container v2\n\xc3\x55\x21\x99\x25";
static_assert(magic_v1.size() == magic_size && magic_v2.size() == magic_size);

Result<> write_zeros(Disk& disk, const File& file, std::uint64_t begin, std::uint64_t end) {
  const Bytes zeros(static_cast<std::size_t>(std::min<std::uint64_t>(end - begin, 1 << 20)));
  while (begin < end) {
    const auto n = std::min<std::uint64_t>(end - begin, zeros.size());
    TRY_DO(disk.write(file, begin, ByteView(zeros).first(n)));
    begin += n;
  }
  return {};
}

}  // namespace

ByteView mutable_magic(ContainerVersion version) {
  return as_bytes(version == ContainerVersion::clear_secrets ? magic_v1 : magic_v2);
}

Result<bool> is_mutable_share(const File& file) {
  std::uint8_t magic[magic_size];
  TRY(n, file.read(0, magic));
  if (n < magic_size) return false;
  return equal(magic, mutable_magic(ContainerVersion::hashed_secrets)) ||
         equal(magic, mutable_magic(ContainerVersion::clear_secrets));
}

Result<MutableSlot> MutableSlot::open(const std::filesystem::path& path, bool writable) {
  TRY(file, File::open(path, writable));
  return open(std::move(file));
}

Result<MutableSlot> MutableSlot::open(File file) {
  TRY(size, file.size());
  std::uint8_t header[slots_at];
  TRY_DO(file.read_exactly(0, header));
  MutableSlot slot(std::move(file));
  const auto corrupt = [&slot](const char* what) {
    return fail(Errc::corrupt, slot.file_.path().string() + ": " + what);
  };
  const ByteView magic(header, magic_size);
  if (equal(magic, mutable_magic(ContainerVersion::clear_secrets))) {
    slot.version_ = ContainerVersion::clear_secrets;
  } else if (!equal(magic, mutable_magic(ContainerVersion::hashed_secrets))) {
    return corrupt("not a mutable share");
  }
  std::copy_n(header + 32, 20, slot.node_id_.begin());
  std::copy_n(header + 52, 32, slot.write_enabler_.data());
  slot.data_length_ = get_be<std::uint64_t>(header + lengths_at);
  slot.extra_offset_ = get_be<std::uint64_t>(header + lengths_at + 8);
  if (slot.extra_offset_ < data_at || slot.data_length_ > slot.extra_offset_ - data_at) {
    return corrupt("its data would run into its leases");
  }
  if (size < slot.extra_offset_ || size - slot.extra_offset_ < count_size) {
    return corrupt("the file ends before its leases");
  }
  TRY(extra, slot.extra_lease_count());
  if (std::uint64_t{extra} * mutable_lease_size > size - slot.extra_offset_ - count_size) {
    return corrupt("more leases than the file can hold");
  }
  return slot;
}

Result<MutableSlot> MutableSlot::create(Disk& disk, File file, const LeaseSeed& node_id,
                                        const Secret32& write_enabler) {
  MutableSlot slot(std::move(file));
  slot.node_id_ = node_id;
  slot.write_enabler_ = write_enabler;
  Bytes raw = to_bytes(mutable_magic(slot.version_));
  append(raw, node_id);
  append(raw, write_enabler.view());
  append_be(raw, slot.data_length_);
  append_be(raw, slot.extra_offset_);
  raw.resize(data_at + count_size);
  TRY_DO(disk.write(slot.file_, 0, raw));
  return slot;
}

Result<MutableSlot> MutableSlot::copy_to(Disk& disk, const std::filesystem::path& path) const {
  TRY(file, disk.create(path));
  TRY_DO(disk.copy(file_, file));
  MutableSlot copy(std::move(file));
  copy.version_ = version_;
  copy.node_id_ = node_id_;
  copy.write_enabler_ = write_enabler_;
  copy.data_length_ = data_length_;
  copy.extra_offset_ = extra_offset_;
  return copy;
}

Result<Bytes> MutableSlot::read(std::uint64_t offset, std::uint64_t length) const {
  if (offset >= data_length_) return Bytes{};
  Bytes out(static_cast<std::size_t>(std::min(length, data_length_ - offset)));
  TRY_DO(file_.read_exactly(data_at + offset, out));
  return out;
}

Result<> MutableSlot::write_lengths(Disk& disk) {
  std::uint8_t raw[16];
  put_be(raw, data_length_);
  put_be(raw + 8, extra_offset_);
  return disk.write(file_, lengths_at, raw);
}

Result<> MutableSlot::write(Disk& disk, std::uint64_t offset, ByteView data) {
  if (offset > max_data || data.size() > max_data - offset) {
    return fail(Errc::too_large, "a mutable share beyond 69105 TB");
  }
  const std::uint64_t end = offset + data.size();
  if (end > data_length_) {
    TRY(file_size, file_.size());
    if (data_at + end > extra_offset_) {
      TRY(count, extra_lease_count());
      Bytes extra(count_size + std::size_t{count} * mutable_lease_size);
      TRY_DO(file_.read_exactly(extra_offset_, extra));
      if (auto r = write_zeros(disk, file_, extra_offset_, extra_offset_ + extra.size()); !r)
        return r;
      extra_offset_ = data_at + end;
      if (auto r = disk.write(file_, extra_offset_, extra); !r) return r;
    }
    // Only what was in the file needs zeros: behind its former end the file has a hole.
    const auto stale_end = std::min(data_at + offset, file_size);
    if (data_at + data_length_ < stale_end) {
      if (auto r = write_zeros(disk, file_, data_at + data_length_, stale_end); !r) return r;
    }
    data_length_ = end;
    if (auto r = write_lengths(disk); !r) return r;
  }
  return disk.write(file_, data_at + offset, data);
}

Result<> MutableSlot::truncate(Disk& disk, std::uint64_t length) {
  if (length >= data_length_) return {};
  data_length_ = length;
  return write_lengths(disk);
}

std::uint64_t MutableSlot::slot_offset(std::uint64_t slot) const {
  if (slot < fixed_slots) return slots_at + slot * mutable_lease_size;
  return extra_offset_ + count_size + (slot - fixed_slots) * mutable_lease_size;
}

Result<std::uint32_t> MutableSlot::extra_lease_count() const {
  std::uint8_t raw[count_size];
  TRY_DO(file_.read_exactly(extra_offset_, raw));
  return get_be<std::uint32_t>(raw);
}

Result<std::vector<Lease>> MutableSlot::slots() const {
  TRY(extra, extra_lease_count());
  Bytes raw((fixed_slots + extra) * mutable_lease_size);
  const auto fixed = MutableBytes(raw).first(fixed_slots * mutable_lease_size);
  TRY_DO(file_.read_exactly(slots_at, fixed));
  if (extra > 0) {
    TRY_DO(file_.read_exactly(slot_offset(fixed_slots), MutableBytes(raw).subspan(fixed.size())));
  }
  std::vector<Lease> out;
  out.reserve(fixed_slots + extra);
  for (std::size_t at = 0; at < raw.size(); at += mutable_lease_size) {
    out.push_back(decode_mutable_lease(
        std::span<const std::uint8_t, mutable_lease_size>(raw.data() + at, mutable_lease_size)));
  }
  return out;
}

Result<std::vector<Lease>> MutableSlot::leases() const {
  TRY(all, slots());
  std::erase_if(all, [](const Lease& lease) { return lease.owner == 0; });
  return all;
}

Result<> MutableSlot::add_or_renew(Disk& disk, const LeaseSecrets& secrets,
                                   const LeaseSeed& node_id, std::uint32_t expiration) {
  TRY(all, slots());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].owner == 0 || !has_renew_secret(all[i], version_, secrets.renew)) continue;
    if (expiration <= all[i].expiration) return {};
    all[i].expiration = expiration;
    return disk.write(file_, slot_offset(i), encode_mutable_lease(all[i]));
  }
  const auto lease = encode_mutable_lease(make_lease(version_, 1, expiration, secrets, node_id));
  const auto empty = std::ranges::find(all, 0u, &Lease::owner);
  const auto slot = static_cast<std::uint64_t>(empty - all.begin());
  TRY_DO(disk.write(file_, slot_offset(slot), lease));
  if (empty != all.end()) return {};
  // A count of leases that are not in the file would make the share unreadable.
  TRY_DO(disk.sync(file_));
  std::uint8_t count[count_size];
  put_be<std::uint32_t>(count, static_cast<std::uint32_t>(all.size() + 1 - fixed_slots));
  return disk.write(file_, extra_offset_, count);
}

Result<std::size_t> MutableSlot::cancel(Disk& disk, const Secret32& cancel_secret) {
  const auto gone = [&](const Lease& lease) {
    return has_cancel_secret(lease, version_, cancel_secret);
  };
  TRY_DO(cancel_if(disk, gone));
  TRY(left, leases());
  return left.size();
}

Result<std::size_t> MutableSlot::cancel_if(Disk& disk,
                                           const std::function<bool(const Lease&)>& gone) {
  TRY(all, slots());
  // As Tahoe empties a slot: it stores a lease of no owner with secrets of zeros.
  const auto nobody = encode_mutable_lease(make_lease(version_, 0, 0, LeaseSecrets{}));
  std::size_t count = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].owner == 0 || !gone(all[i])) continue;
    TRY_DO(disk.write(file_, slot_offset(i), nobody));
    ++count;
  }
  return count;
}

}  // namespace lafs::grid::storage
