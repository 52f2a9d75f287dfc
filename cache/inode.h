// SPDX-License-Identifier: Apache-2.0
#pragma once

// One file or directory as this node knows it: what the grid has of it, and what it does not have
// yet. Shared by the tree and by those who have it open. I/O thread only.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cache/staging.h"
#include "grid/client.h"

namespace lafs::cache {

using grid::Cap;
using grid::Metadata;
using grid::PosixFacts;

// The number that people see. Belongs to a name as long as the name exists, across restarts.
using InodeNo = std::uint64_t;

// Changed content: what the journal says about a staging file.
struct Content {
  Staging::Memory staged;
  std::optional<Cap> base;  // where bytes that are not local come from

  bool operator==(const Content& other) const {
    return staged.id == other.staged.id && staged.size == other.staged.size &&
           staged.inherited_size == other.staged.inherited_size &&
           staged.local == other.staged.local && base == other.base;
  }
};

struct Inode {
  InodeNo number = 0;
  bool directory = false;
  InodeNo parent = 0;  // 0: a root, or it has lost its name
  std::string name;
  std::optional<Cap> cap;  // the newest that is on the grid; nothing: new
  PosixFacts facts;
  Metadata other;  // of the entry: what belongs neither to Tahoe nor to us
  std::optional<Content> content;

  // --- not remembered across restarts
  bool kept = false;  // has changes of its own or below it, and so is in the journal
  // `cap` is of some moment of `content`, which is still being written, and may be published.
  bool interim = false;
  // Open while somebody uses it. Content that is clean again may stay here while the file is open.
  std::unique_ptr<StagedFile> staged;
  std::uint64_t stored_version = 0;  // of `staged`: what `cap` holds
  std::uint64_t opens = 0;           // handles, for writing or not
  std::uint64_t writers = 0;         // handles for writing
  std::uint64_t size = 0;            // of `cap`, when that does not say

  bool named() const { return parent != 0; }
  std::uint64_t current_size() const {
    if (staged) return staged->size();
    return content ? content->staged.size : size;
  }
};

using InodePtr = std::shared_ptr<Inode>;

}  // namespace lafs::cache
