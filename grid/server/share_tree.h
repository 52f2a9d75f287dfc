// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where things lie below the storage directory (spec/storage 5.1, 5.7). Paths, names and texts; no
// state.

#include <chrono>
#include <filesystem>
#include <set>
#include <string>

#include "grid/base/result.h"
#include "grid/storage/server.h"

namespace lafs::grid::storage {

class ShareTree {
 public:
  explicit ShareTree(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path shares() const { return root_ / "shares"; }
  std::filesystem::path incoming() const { return shares() / "incoming"; }
  std::filesystem::path advisories() const { return root_ / "corruption-advisories"; }

  // All shares of one storage index, complete or still being uploaded.
  std::filesystem::path bucket(const StorageIndex& si) const;
  std::filesystem::path incoming_bucket(const StorageIndex& si) const;
  std::filesystem::path share(const StorageIndex& si, ShareNo number) const;
  std::filesystem::path incoming_share(const StorageIndex& si, ShareNo number) const;
  // A share's next version, before it takes the share's name. Not a number, so nobody reads it.
  std::filesystem::path next_share(const StorageIndex& si, ShareNo number) const;

 private:
  std::filesystem::path root_;
};

// The share numbers in a bucket: files whose names are plain decimal numbers. A missing directory
// has none. Errc::io, access_denied.
Result<std::set<ShareNo>> share_numbers(const std::filesystem::path& bucket);

// A client's report: "<UTC time>--<storage index>-<number>", the time without colons.
std::string advisory_name(std::chrono::system_clock::time_point now, const StorageIndex& si,
                          ShareNo number);
std::string advisory_text(ShareKind kind, const StorageIndex& si, ShareNo number,
                          std::string_view reason);

}  // namespace lafs::grid::storage
