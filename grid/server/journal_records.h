// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bytes of the mutable journal (docs/formats/mutable-journal.md). Pure; files are
// mutable_journal.h's.

#include <vector>

#include "grid/crypto/hash.h"
#include "grid/storage/server.h"

namespace lafs::grid::storage {

// The whole file of a mutable share as it is to be.
struct ShareImage {
  StorageIndex si;
  ShareNo number;
  Bytes file;
  bool operator==(const ShareImage&) const = default;
};

// The shares of one record change together, or not at all.
struct JournalRecord {
  std::int64_t time = 0;  // unix seconds
  std::vector<ShareImage> images;
};

inline constexpr std::size_t journal_head_size = 32;
inline constexpr std::size_t journal_salt_size = 16;

// Writes one journal from its beginning: every record vouches for those before it.
class JournalWriter {
 public:
  // A later journal has a higher number.
  JournalWriter(std::uint64_t number, const std::array<std::uint8_t, journal_salt_size>& salt);
  const Bytes& head() const { return head_; }
  void append_record(Bytes& to, std::int64_t time, const std::vector<ShareImage>& images);

 private:
  Bytes head_;
  Hash32 chain_;
};

struct Journal {
  std::uint64_t number = 0;
  std::vector<JournalRecord> records;
};

// All whole records in front of the first that is not; nothing: no journal.
std::optional<Journal> parse_journal(ByteView file);

}  // namespace lafs::grid::storage
