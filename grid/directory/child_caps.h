// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the two cap fields of a directory entry mean together, and which caps may be stored
// (spec/mutable 8.4, 8.6; spec/immutable 3.5). Unknown caps travel with "ro." or "imm." in front of
// their read form, so that nobody mistakes one for the other.

#include "grid/caps/cap.h"

namespace lafs::grid {

struct ChildCaps {
  // What is in the two slots after the rules; empty: nothing. For known caps both texts follow from
  // the cap: rw only when it is a write cap.
  std::string rw;
  std::string ro;
  Cap cap;       // the strongest
  Cap read_cap;  // for readers
  // Why the child may not be used or stored; the caps above are empty then.
  std::optional<std::string> problem;

  // From the fields of an entry, trailing blanks gone, or from what is to be stored.
  static ChildCaps make(std::string_view rw, std::string_view ro, bool deep_immutable);
  // From the cap to be stored; `read_cap` only matters for unknown ones.
  static ChildCaps of(const Cap& cap, const std::optional<Cap>& read_cap = std::nullopt);

  // Nothing of it can change: it may be in an immutable directory.
  bool deeply_immutable() const;
  // Why it may not be written into a directory, though it may be shown when it is there.
  std::optional<std::string> unstorable(bool deep_immutable) const;
  // What is written into the read slot: the prefix that the reader adds again is dropped.
  std::string stored_ro(bool deep_immutable) const;
  // Without its write cap.
  ChildCaps read_only() const;
};

// A read slot's text that is surely a cap which may be there, whatever the write slot holds: one of
// an ordinary file or directory. False says nothing. Quick: for listings.
bool plainly_good_read_cap(std::string_view text, bool deep_immutable);

}  // namespace lafs::grid
