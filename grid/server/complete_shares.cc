// SPDX-License-Identifier: Apache-2.0
#include "grid/server/complete_shares.h"

#include <set>

namespace lafs::grid::storage {

namespace {

// From so many on, syncing all of the disk costs less than each file and directory by itself.
constexpr std::size_t many = 4;

using Directories = std::set<std::filesystem::path>;

// The name only; adds the directories that are to be synced before it lasts.
Result<> rename_to_its_place(Disk& disk, const ShareTree& tree, const CompleteShare& share,
                             Directories& changed) {
  const auto& [si, number] = share.key;
  const auto bucket = tree.bucket(si);
  std::error_code ignored;
  // Making directories is most of what is left to do: the first share takes its own with it.
  const bool with_directory = share.alone && !std::filesystem::exists(bucket, ignored);
  TRY(made, disk.make_missing(tree.shares(), with_directory ? bucket.parent_path() : bucket));
  changed.insert(made.begin(), made.end());
  changed.insert(bucket);
  if (with_directory) {
    changed.insert(bucket.parent_path());
    return disk.rename(tree.incoming_bucket(si), bucket);
  }
  TRY_DO(disk.rename(tree.incoming_share(si, number), tree.share(si, number)));
  disk.remove_directory(tree.incoming_bucket(si));
  return {};
}

}  // namespace

std::vector<Result<>> place_shares(Disk& disk, const ShareTree& tree,
                                   std::span<const std::shared_ptr<CompleteShare>> shares) {
  const bool together = shares.size() >= many;
  std::vector<Result<>> out(shares.size());
  // The data before the names.
  Result<> all;
  if (together) all = disk.sync_all(tree.shares());
  for (std::size_t i = 0; i < shares.size(); ++i)
    out[i] = together ? all : disk.sync(shares[i]->upload->file.file());
  std::vector<Directories> changed(shares.size());
  for (std::size_t i = 0; i < shares.size(); ++i)
    if (out[i]) out[i] = rename_to_its_place(disk, tree, *shares[i], changed[i]);
  if (together && all) all = disk.sync_all(tree.shares());
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (together && out[i]) out[i] = all;
    if (together) continue;
    for (const auto& directory : changed[i])
      if (out[i]) out[i] = disk.sync_directory(directory);
  }
  return out;
}

}  // namespace lafs::grid::storage
