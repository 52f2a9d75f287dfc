// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bytes of a journal segment (docs/formats/journal.md). Integers are big-endian.
//
//     0  "lafsjrn1"
//     8  generation 8     segments are ordered by it
//    16  first 8          number of the first record
//    24  covered 8        records up to this one were in the store when the segment was begun
//    32  salt 16          segment key = TPH(tag, node secret, salt)/16
//    48  boot 16          of the system that wrote the segment
//    64  tag 16           over the 64 bytes before; nonce "head" || generation
//   128  data synced 8    what records up to this one speak of was synced before this was written
//   136  synced 8         and these records themselves
//   144  chance 8
//   152  tag 16           over the 24 bytes before; nonce "mark" || chance. Overwritten in place
//   192  records, each at a multiple of 16:
//          "rec1", length 4, sequence 8, synced 8, payload sealed (nonce "rec1" || sequence), tag
//          16
//
// A segment is used again under a new salt, so what is left of its former records is not readable.

#include "cache/sealer.h"
#include "grid/base/result.h"

namespace lafs::cache {

using Sequence = std::uint64_t;

inline constexpr std::size_t segment_header_size = 192;
inline constexpr std::size_t mark_offset = 128, mark_size = 40;
inline constexpr std::size_t record_header_size = 24;
inline constexpr std::size_t record_alignment = 16;

// What a record of such a payload takes of the segment.
std::uint64_t record_size(std::uint64_t payload);

struct SegmentHeader {
  std::uint64_t generation = 0;
  Sequence first = 0;
  Sequence covered = 0;
  std::array<std::uint8_t, 16> salt{};
  std::array<std::uint8_t, 16> boot{};
};

struct SegmentMark {
  Sequence data = 0;     // what these records speak of was synced
  Sequence records = 0;  // these records were synced
};

// Makes the bytes of one segment, in order.
class SegmentWriter {
 public:
  SegmentWriter(const SegmentHeader& header, const grid::Secret32& node_secret);
  Bytes header();
  // Replaces `out`. The nonce is the sequence: never two records of one number.
  void record(Sequence sequence, Sequence synced, ByteView payload, Bytes& out);
  Bytes mark(const SegmentMark& mark);  // goes to mark_offset

 private:
  SegmentHeader header_;
  Sealer sealer_;
};

// Nothing when these are not the first bytes of a segment of this node.
std::optional<SegmentHeader> read_segment_header(ByteView file, const grid::Secret32& node_secret);

// Walks the records of one segment. The bytes may be anything.
class SegmentReader {
 public:
  struct Record {
    Sequence sequence = 0;
    Sequence synced = 0;
    Bytes payload;
  };

  SegmentReader(ByteView file, const SegmentHeader& header, const grid::Secret32& node_secret);

  // The record with the next number. Nothing at the end or when the next one is not whole.
  std::optional<Record> next();
  // After that: the next whole record further on, whatever its number.
  std::optional<Record> next_intact();
  // Where next() goes on.
  std::uint64_t offset() const { return offset_; }
  Sequence expected() const { return expected_; }
  SegmentMark mark();  // zeros when it cannot be read

 private:
  std::optional<Record> at(std::uint64_t offset, std::uint64_t& size);

  ByteView file_;
  std::uint64_t offset_ = segment_header_size;
  Sequence expected_;
  Sealer sealer_;
};

}  // namespace lafs::cache
