// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything below a directory, each thing once: cycles and subtrees that are linked twice are
// visited under the first path that led there. Directories are listed several at a time; what is
// kept is the listings on the way down and a fingerprint of every storage index, not the tree.

#include <functional>
#include <string>

#include "grid/base/task.h"
#include "grid/directory/listing.h"

namespace lafs::grid {

struct Found {
  std::string path;  // from the root, "" for it; names separated by slashes
  Cap cap;
  const Child* child = nullptr;      // its entry; null for the root
  const Listing* listing = nullptr;  // of a directory that could be read
  std::optional<Error> error{};      // why a directory could not be listed
};

// 64-bit fingerprints in one flat table: 16 bytes for each at most.
class SeenIndexes {
 public:
  // False when it was there. Two of a million differ but with a chance of 1 in 10^7.
  bool add(const StorageIndex& index);
  std::size_t size() const { return count_; }

 private:
  bool put(std::uint64_t key);
  std::vector<std::uint64_t> slots_;
  std::size_t count_ = 0;
};

struct WalkOptions {
  std::size_t at_once = 8;  // directories that are being listed
};

using Lister = std::function<Task<Result<Listing>>(Cap)>;
// An error ends the walk and is returned. Visits happen one after the other.
using Visitor = std::function<Task<Result<>>(const Found&)>;

// cancelled when asked to stop. A directory that cannot be listed is visited with its error, also
// when it is the root.
Task<Result<>> walk(Lister list, Cap root, Visitor visit, WalkOptions options);

}  // namespace lafs::grid
