// SPDX-License-Identifier: Apache-2.0
#pragma once

// The table of a directory (docs/formats/directory.md; spec/mutable 8.2 to 8.7):
//
//   table := entry*      entry := ns( ns(name) ns(read cap) ns(rwcapdata) ns(metadata) )
//   rwcapdata := salt 16, the write cap encrypted, MAC 32; empty in immutable directories
//
// Entries that are not changed keep their bytes, whatever is in them. Write caps are decrypted
// only when a child is looked at.

#include <map>
#include <memory>

#include "grid/directory/child_caps.h"
#include "grid/directory/metadata.h"

namespace lafs::grid {

// How the table is kept: by whom it may be written.
struct TableKind {
  // With the write key of the directory's file, write caps can be read and entries added.
  std::optional<Key16> write_key;
  bool immutable = false;
};

// One entry as it stands. The views live as long as the entry.
struct Entry {
  ByteView read_cap;
  ByteView rwcapdata;
  Metadata metadata;

  std::shared_ptr<const Bytes> backing;  // what the views point into
  ByteView raw;                          // the four netstrings
};

class Entries {
 public:
  explicit Entries(TableKind kind) : kind_(std::move(kind)) {}
  // Errc::corrupt when any entry is not an entry, or in an immutable directory has a write slot:
  // then nothing of the table is to be trusted. Of two entries of one (normalised) name the later
  // counts.
  static Result<Entries> unpack(Bytes table, TableKind kind);
  Bytes pack() const;

  const std::map<std::string, Entry, std::less<>>& all() const { return entries_; }
  const Entry* find(std::string_view normalised_name) const;
  // What the entry's caps mean to us; `problem` set: the child is to be left out of listings.
  ChildCaps caps(const Entry& entry) const;

  // Adds or replaces. The caps are storable (ChildCaps::unstorable).
  void set(const std::string& normalised_name, const ChildCaps& caps, const Metadata& metadata);
  // The same entry with other metadata, under another name, or both; its caps keep their bytes.
  void set_like(const std::string& normalised_name, const Entry& entry, const Metadata& metadata);
  void remove(std::string_view normalised_name);

 private:
  void put(const std::string& name, ByteView read_cap, ByteView rwcapdata,
           const Metadata& metadata);

  TableKind kind_;
  std::map<std::string, Entry, std::less<>> entries_;
};

// The write slot: the cap (or the empty string) so that only writers of the directory can read it.
Bytes encrypt_write_cap(std::string_view write_cap, const Key16& directory_write_key);
// The MAC is not checked (Tahoe does not); too short a slot is an empty cap.
std::string decrypt_write_cap(ByteView rwcapdata, const Key16& directory_write_key);

}  // namespace lafs::grid
