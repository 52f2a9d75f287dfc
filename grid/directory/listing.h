// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a directory held in one version. Names are at hand; caps and metadata are taken apart when a
// child is looked at, and not kept: a listing of 100,000 children costs little more than its bytes.
// Copies are cheap and share them. Unchanging, so any thread may look.

#include <memory>

#include "grid/directory/entries.h"
#include "grid/mutable/version.h"

namespace lafs::grid {

struct Child {
  std::string name;
  Cap cap;       // the strongest we have; UnknownCap for what we do not understand, or verifiers
  Cap read_cap;  // what readers of the directory have; equal to cap for immutable children
  Metadata metadata;
  bool operator==(const Child&) const = default;
};

class Listing {
 public:
  Listing();  // of an empty directory
  // Leaves out children that may not be where they are (one with a malformed cap, a mutable one in
  // an immutable directory).
  Listing(VersionId version, Entries entries);

  VersionId version;  // of the mutable file; all zero for immutable directories

  std::size_t size() const { return shown_ ? shown_->size() : entries_->size(); }
  bool empty() const { return size() == 0; }

  // By place, in code point order of the names; i < size().
  std::string_view name(std::size_t i) const { return entries_->name(at(i)); }
  bool is_directory(std::size_t i) const;  // as its read cap says
  Child child(std::size_t i) const;

  // `name` is normalised first.
  std::optional<std::size_t> place(std::string_view name) const;
  bool contains(std::string_view name) const { return place(name).has_value(); }
  std::optional<Child> find(std::string_view name) const;
  std::vector<Child> children() const;  // every one taken apart: for small directories

  const Entries& entries() const { return *entries_; }

 private:
  std::size_t at(std::size_t i) const { return shown_ ? (*shown_)[i] : i; }

  std::shared_ptr<const Entries> entries_;  // packed
  // Places in entries_ of those that may be shown; null: all.
  std::shared_ptr<const std::vector<std::size_t>> shown_;
};

}  // namespace lafs::grid
