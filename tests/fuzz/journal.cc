// SPDX-License-Identifier: Apache-2.0
#include "cache/journal_format.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::cache;

// Whatever the bytes: records come in order, lie inside, and are the ones that were sealed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const grid::Secret32 secret;
  SegmentHeader header{.generation = 1, .first = 10};
  if (auto found = read_segment_header({data, size}, secret)) header = *found;
  SegmentReader reader({data, size}, header, secret);
  (void)reader.mark();
  auto last = header.first;
  const auto check = [&](const SegmentReader::Record& record) {
    FUZZ_REQUIRE(record.sequence >= last && reader.offset() % record_alignment == 0);
    FUZZ_REQUIRE(reader.offset() <= size + record_alignment && record.payload.size() < size);
    last = record.sequence + 1;
  };
  while (auto record = reader.next()) check(*record);
  while (auto record = reader.next_intact()) check(*record);
  return 0;
}
