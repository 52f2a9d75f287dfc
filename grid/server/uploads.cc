// SPDX-License-Identifier: Apache-2.0
#include "grid/server/uploads.h"

namespace lafs::grid::storage {

std::shared_ptr<Upload> Uploads::find(const Key& key) const {
  const auto it = all_.find(key);
  return it == all_.end() ? nullptr : it->second;
}

Result<std::shared_ptr<Upload>> Uploads::find(const Key& key, const UploadSecret& secret) const {
  auto upload = find(key);
  if (!upload) return fail(Errc::not_found, "no upload of this share is in progress");
  if (!(upload->secret == secret)) return fail(Errc::unauthorized, "the upload secret is wrong");
  return upload;
}

void Uploads::remove(const Key& key) {
  const auto it = all_.find(key);
  if (it == all_.end()) return;
  it->second->over = true;
  all_.erase(it);
}

std::size_t Uploads::count(const StorageIndex& si) const {
  std::size_t out = 0;
  for (auto it = all_.lower_bound({si, {}}); it != all_.end() && it->first.first == si; ++it) ++out;
  return out;
}

std::uint64_t Uploads::reserved() const {
  std::uint64_t sum = 0;
  for (const auto& [key, upload] : all_) sum += upload->size;
  return sum;
}

std::uint64_t Uploads::promised() const {
  std::uint64_t sum = 0;
  for (const auto& [key, upload] : all_) {
    for (const auto& gap : upload->written.missing({0, upload->size})) sum += gap.size();
  }
  return sum;
}

std::vector<Uploads::Key> Uploads::idle_since(TimePoint limit) const {
  std::vector<Key> out;
  for (const auto& [key, upload] : all_) {
    if (upload->last_used <= limit) out.push_back(key);
  }
  return out;
}

std::optional<TimePoint> Uploads::oldest_use() const {
  std::optional<TimePoint> oldest;
  for (const auto& [key, upload] : all_) {
    oldest = std::min(oldest.value_or(TimePoint::max()), upload->last_used);
  }
  return oldest;
}

Result<ByteRange> check_write(std::uint64_t share_size, std::uint64_t offset, std::size_t length) {
  if (length == 0) return fail(Errc::bad_argument, "an empty write");
  if (offset > share_size || length > share_size - offset) {
    return fail(Errc::bad_range, "a write outside of the share");
  }
  return ByteRange{offset, offset + length};
}

}  // namespace lafs::grid::storage
