// SPDX-License-Identifier: Apache-2.0
#pragma once

// A batch of edits, applied to a table as often as it takes until a publish of the result is
// uncontested. Plain: no I/O, the time is given.

#include "grid/directory/directory.h"
#include "grid/directory/entries.h"

namespace lafs::grid {

class EditBatch {
 public:
  EditBatch(std::vector<Edit> edits, double now) : edits_(std::move(edits)), now_(now) {}

  // All or nothing: the table after all edits, or the first one's error. On a later call an edit
  // that our own earlier attempt brought about counts as done: that attempt's shares may have won
  // although we were told of a collision.
  Result<Entries> apply(Entries table);

 private:
  Result<> apply_one(std::size_t index, Entries& table, const Edit::Set& edit);
  Result<> apply_one(std::size_t index, Entries& table, const Edit::Remove& edit);
  Result<> apply_one(std::size_t index, Entries& table, const Edit::Rename& edit);
  Result<> apply_one(std::size_t index, Entries& table, const Edit::SetMetadata& edit);

  std::vector<Edit> edits_;
  double now_;
  bool again_ = false;
  // What our earlier attempts stored: edit -> the strongest cap of its child.
  std::map<std::size_t, Cap> stored_;
};

// Every child that may be shown, in order.
std::vector<Child> children_of(const Entries& table);

}  // namespace lafs::grid
