// SPDX-License-Identifier: Apache-2.0
#include "grid/server/journal_records.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid::storage;

// The journal of a storage server: what is read is written again as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView file(data, size);
  const auto journal = parse_journal(file);
  if (!journal) return 0;
  std::array<std::uint8_t, journal_salt_size> salt{};
  std::copy_n(data + journal_head_size - salt.size(), salt.size(), salt.begin());
  JournalWriter writer(journal->number, salt);
  auto again = writer.head();
  for (const auto& record : journal->records)
    writer.append_record(again, record.time, record.images);
  FUZZ_REQUIRE(again.size() <= size && equal(again, file.first(again.size())));
  return 0;
}
