// SPDX-License-Identifier: Apache-2.0
#pragma once

// The table of a directory (docs/formats/directory.md; spec/mutable 8.2 to 8.7):
//
//   table := entry*      entry := ns( ns(name) ns(read cap) ns(rwcapdata) ns(metadata) )
//   rwcapdata := salt 16, the write cap encrypted, MAC 32; empty in immutable directories
//
// Unpacking checks the whole table and finds the names; caps are parsed and decrypted, and metadata
// are parsed, only when an entry is looked at. Entries that are not changed keep their bytes,
// whatever is in them. Copies are cheap: they share the bytes of the table.

#include <functional>
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

// One entry as it stands. The views live as long as the Entries they are from, unchanged.
struct Entry {
  ByteView raw;  // the four netstrings, and what else there is in the entry
  ByteView read_cap;
  ByteView rwcapdata;
  std::string_view metadata_text;

  explicit Entry(ByteView entry);
  Metadata metadata() const;
};

class Entries {
 public:
  explicit Entries(TableKind kind);
  // Errc::corrupt when any entry is not an entry, or in an immutable directory has a write slot:
  // then nothing of the table is to be trusted. Of two entries of one (normalised) name the later
  // counts.
  static Result<Entries> unpack(std::shared_ptr<const Bytes> table, TableKind kind);
  static Result<Entries> unpack(Bytes table, TableKind kind) {
    return unpack(std::make_shared<const Bytes>(std::move(table)), std::move(kind));
  }
  // A new table, made at once. Names are normalised, caps storable; of two of one name the later
  // counts.
  struct New {
    std::string name;
    ChildCaps caps;
    std::string metadata_text;
  };
  static Entries make(std::vector<New> entries, TableKind kind);
  class Maker;
  Bytes pack() const;
  // The same as it will be when it is read again: packed, nothing changed. bytes() is pack() then.
  Entries packed() const;
  const std::shared_ptr<const Bytes>& bytes() const { return table_->bytes; }

  std::size_t size() const;
  // In the order of the names.
  void each(const std::function<void(std::string_view name, const Entry& entry)>& look) const;
  std::optional<Entry> find(std::string_view normalised_name) const;
  // What the entry's caps mean to us; `problem` set: the child is to be left out of listings.
  ChildCaps caps(const Entry& entry) const;
  // caps() will have no problem: seen at a glance, without decrypting anything. False says nothing.
  bool plainly_good(const Entry& entry) const {
    return plainly_good_read_cap(as_text(entry.read_cap), kind_.immutable);
  }
  // The first name that is not less, or nothing.
  std::optional<std::string_view> name_from(std::string_view least) const;

  // By place in the order of names; only when packed.
  std::string_view name(std::size_t i) const { return table_->rows[i].name; }
  Entry entry(std::size_t i) const { return Entry(table_->rows[i].raw); }
  std::optional<std::size_t> place(std::string_view normalised_name) const;

  // Adds or replaces. The caps are storable (ChildCaps::unstorable).
  void set(const std::string& normalised_name, const ChildCaps& caps, const Metadata& metadata);
  // The same entry with other metadata, under another name, or both; its caps keep their bytes.
  void set_like(const std::string& normalised_name, const Entry& entry,
                std::string_view metadata_text);
  void remove(std::string_view normalised_name);

 private:
  struct Row {
    std::string_view name;  // into `bytes`, or `odd_names` when it is not normalised there
    ByteView raw;
  };
  struct Table {
    std::shared_ptr<const Bytes> bytes;
    std::vector<Row> rows;
    std::vector<std::unique_ptr<const std::string>> odd_names;
  };

  const Row* row(std::string_view name) const;
  void put(const std::string& name, ByteView read_cap, ByteView rwcapdata,
           std::string_view metadata_text);
  Bytes write_slot(std::string_view rw);

  TableKind kind_;
  std::shared_ptr<const Table> table_;
  std::map<std::string, std::shared_ptr<const Bytes>, std::less<>> changed_;  // null: removed
  std::size_t added_ = 0, removed_ = 0;  // of the above, against table_
  Bytes empty_slot_;                     // the write slot of a child without a write cap
};

// Makes a new table entry by entry, for which it holds no more than the table.
class Entries::Maker {
 public:
  // `expected`: entries, more or less.
  Maker(TableKind kind, std::size_t expected) : out_(std::move(kind)), expected_(expected) {}
  // The name is normalised; the caps are those of ChildCaps::rw and stored_ro().
  void add(std::string_view name, std::string_view rw, std::string_view ro,
           std::string_view metadata_text);
  // Of two entries of one name the later counts.
  Entries take() &&;

 private:
  struct Span {
    std::size_t begin;  // of the entry's contents, in bytes_
    std::size_t size;
    std::size_t name;  // where the name begins
    std::size_t name_size;
  };
  std::string_view name_of(const Span& span) const {
    return as_text(ByteView(bytes_).subspan(span.name, span.name_size));
  }
  void sort();

  Entries out_;
  std::size_t expected_;
  Bytes bytes_;
  std::vector<Span> spans_;
  bool sorted_ = true;  // and no name is there twice
};

// The write slot: the cap (or the empty string) so that only writers of the directory can read it.
Bytes encrypt_write_cap(std::string_view write_cap, const Key16& directory_write_key);
// The MAC is not checked (Tahoe does not); too short a slot is an empty cap.
std::string decrypt_write_cap(ByteView rwcapdata, const Key16& directory_write_key);

}  // namespace lafs::grid
