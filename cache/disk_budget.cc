// SPDX-License-Identifier: Apache-2.0
#include "cache/disk_budget.h"

namespace lafs::cache {

namespace {
// The system is asked again after so much time, or when so much was taken.
constexpr auto look_every = std::chrono::milliseconds(100);
constexpr std::uint64_t look_after = 16u << 20;
}  // namespace

DiskBudget::DiskBudget(const Disk& disk, std::string directory, Options options)
    : disk_(disk), directory_(std::move(directory)), options_(options) {}

void DiskBudget::look() {
  const auto now = Clock::now();
  if (now < next_look_ && taken_since_look_ < look_after) return;
  next_look_ = now + look_every;
  taken_since_look_ = 0;
  // A disk that does not answer is not taken for a full one: the write itself will tell.
  const auto space = disk_.space(directory_);
  disk_free_ = space ? space->available : UINT64_MAX;
}

std::uint64_t DiskBudget::available() {
  look();
  const auto reserved = options_.min_free + taken_since_look_;
  const auto of_disk = disk_free_ > reserved ? disk_free_ - reserved : 0;
  const auto of_limit = options_.most_bytes > used_ ? options_.most_bytes - used_ : 0;
  return std::min(of_disk, of_limit);
}

Result<> DiskBudget::take(std::uint64_t file, std::uint64_t bytes) {
  const auto left = available();
  if (left == 0 || bytes > left)
    return fail(Errc::no_space,
                "the cache in " + directory_ + " has no room for more that waits for the grid");
  if (bytes > 0) files_[file] += bytes;
  used_ += bytes;
  taken_since_look_ += bytes;
  return {};
}

void DiskBudget::charge(std::uint64_t file, std::uint64_t bytes) {
  auto& now = files_[file];
  used_ = used_ - now + bytes;
  now = bytes;
}

void DiskBudget::give_back(std::uint64_t file, std::uint64_t bytes) {
  const auto it = files_.find(file);
  if (it == files_.end()) return;
  bytes = std::min(bytes, it->second);
  it->second -= bytes;
  used_ -= bytes;
}

void DiskBudget::forget(std::uint64_t file) {
  const auto it = files_.find(file);
  if (it == files_.end()) return;
  used_ -= it->second;
  files_.erase(it);
}

double DiskBudget::pressure() {
  const auto left = available();
  const auto whole = left + used_;
  if (whole == 0) return 1;
  const double share = static_cast<double>(left) / static_cast<double>(whole);
  return share >= 0.25 ? 0 : 1 - share * 4;
}

}  // namespace lafs::cache
