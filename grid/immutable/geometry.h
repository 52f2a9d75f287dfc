// SPDX-License-Identifier: Apache-2.0
#pragma once

// The sizes of one immutable file's segments, blocks and shares (spec/immutable 4.1) and where the
// sections of a share are (7.1 to 7.3). Pure arithmetic on numbers that may come from a stranger's
// cap: everything is checked against overflow of 64 bits.

#include <optional>

#include "grid/base/ranges.h"
#include "grid/base/result.h"
#include "grid/caps/storage_index.h"
#include "grid/immutable/encoding.h"

namespace lafs::grid {

// Segments larger than this are neither made nor read: a reader holds a few of them in memory.
constexpr std::uint64_t max_readable_segment = std::uint64_t{128} << 20;

struct Geometry {
  std::uint64_t size = 0;  // of the file, in bytes; not 0
  std::uint64_t k = 1;
  std::uint64_t n = 1;
  std::uint64_t segment_size = 0;     // a multiple of k, up to k-1 more than the configured maximum
  std::uint64_t num_segments = 0;     // at least 1
  std::uint64_t tail_size = 0;        // bytes of the file in the last segment
  std::uint64_t tail_padded = 0;      // the same, rounded up to a multiple of k
  std::uint64_t block_size = 0;       // segment_size / k
  std::uint64_t tail_block_size = 0;  // tail_padded / k
  std::uint64_t share_data_size = 0;  // all blocks of one share

  // From the actual segment size. Errc::bad_argument for size 0, k or n that no codec has, and a
  // segment size that is 0 or no multiple of k.
  static Result<Geometry> make(std::uint64_t size, std::uint64_t k, std::uint64_t n,
                               std::uint64_t segment_size);
  // As an uploader chooses it: min(max_segment_size, size) rounded up to a multiple of k.
  static Result<Geometry> for_upload(std::uint64_t size, const Encoding& encoding);

  bool is_last(SegmentNo s) const { return s.value + 1 == num_segments; }
  std::uint64_t segment_length(SegmentNo s) const { return is_last(s) ? tail_size : segment_size; }
  std::uint64_t padded_length(SegmentNo s) const { return is_last(s) ? tail_padded : segment_size; }
  std::uint64_t block_length(SegmentNo s) const {
    return is_last(s) ? tail_block_size : block_size;
  }
  // Offset of the segment in the file.
  std::uint64_t segment_offset(SegmentNo s) const { return s.value * segment_size; }
  SegmentNo segment_at(std::uint64_t offset) const { return {offset / segment_size}; }

  // T of spec/immutable 7.2: bytes of one full hash tree over the segments.
  std::uint64_t tree_bytes() const;
  // Hashes in one share's chain: log2 of n rounded up to a power of two, plus its own leaf.
  std::uint64_t share_hash_count() const;

  bool operator==(const Geometry&) const = default;
};

enum class LayoutVersion : std::uint8_t { v1 = 1, v2 = 2 };

constexpr std::uint64_t share_hash_entry_size = 34;  // 2 bytes of node index, 32 of hash

// Offsets from the start of the share, in bytes.
struct ShareLayout {
  LayoutVersion version = LayoutVersion::v1;
  std::uint64_t block_size = 0;       // written; readers ignore it
  std::uint64_t share_data_size = 0;  // written; readers ignore it
  std::uint64_t data = 0;
  std::uint64_t plaintext_tree = 0;
  std::uint64_t ciphertext_tree = 0;
  std::uint64_t block_tree = 0;
  std::uint64_t share_hashes = 0;
  std::uint64_t uri_extension = 0;  // of the length field, which is followed by the UEB

  // Version 1 unless something needs 64 bits, or `force` says otherwise. Errc::too_large when even
  // version 2 cannot express it.
  static Result<ShareLayout> make(const Geometry& geometry,
                                  std::optional<LayoutVersion> force = std::nullopt);

  std::uint64_t header_length() const { return version == LayoutVersion::v1 ? 0x24 : 0x44; }
  // Width of an offset and of the UEB's length field.
  std::uint64_t field_width() const { return version == LayoutVersion::v1 ? 4 : 8; }
  // The length of the whole share, and what is to be allocated for it.
  std::uint64_t share_length(std::uint64_t ueb_length) const {
    return uri_extension + field_width() + ueb_length;
  }

  bool operator==(const ShareLayout&) const = default;
};

}  // namespace lafs::grid
