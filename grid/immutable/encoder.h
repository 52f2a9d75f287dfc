// SPDX-License-Identifier: Apache-2.0
#pragma once

// Turns a plaintext into the blocks and hash trees of n shares (spec/immutable 4.2 to 4.4). No
// network: blocks go to a sink, segment by segment and in order; what goes behind the blocks is in
// the EncodedFile that comes out at the end.

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "grid/crypto/hash.h"
#include "grid/crypto/secret.h"
#include "grid/erasure/codec.h"
#include "grid/immutable/geometry.h"

namespace lafs::grid {

// One segment: plaintext first, then (after FileEncoder::encode) ciphertext and blocks.
struct EncodedSegment {
  SegmentNo number;
  std::uint64_t length = 0;        // bytes of the file
  std::uint64_t block_length = 0;  // bytes of each block
  Bytes data;                      // k blocks: the file's bytes and zero padding
  Bytes parity;                    // n-k blocks

  ByteView ciphertext() const { return ByteView(data).first(length); }
  ByteView block(ShareNo share) const {
    const auto at = share.value * block_length;
    return at < data.size() ? ByteView(data).subspan(at, block_length)
                            : ByteView(parity).subspan(at - data.size(), block_length);
  }
};

// Everything about an encoded file that is not a block.
struct EncodedFile {
  Geometry geometry;
  ShareLayout layout;
  Bytes ueb;
  Hash32 ueb_hash{};
  Hash32 ciphertext_hash{};
  std::vector<Hash32> ciphertext_tree;
  std::vector<Hash32> share_tree;
  std::vector<Hash32> block_hashes;  // share by share, num_segments each

  std::uint64_t share_length() const { return layout.share_length(ueb.size()); }
  // All that follows the blocks in one share: 3 trees, chain, UEB.
  Bytes trailer(ShareNo share) const;
};

// The arithmetic. Segments may be encoded in any order and on any threads; the flat hash takes them
// in order, each once.
class FileEncoder {
 public:
  // Without a key the source gives ciphertext, as for a repair. `force_layout` is for tests. Errors
  // as Geometry::make and ShareLayout::make.
  static Result<std::unique_ptr<FileEncoder>> make(
      const Geometry& geometry, const std::optional<Key16>& key,
      std::optional<LayoutVersion> force_layout = std::nullopt);

  const Geometry& geometry() const { return geometry_; }
  const ShareLayout& layout() const { return layout_; }
  // Makes room in `segment` for one segment's plaintext, and returns that room.
  MutableBytes prepare(EncodedSegment& segment, SegmentNo number) const;
  // Encrypts, pads, codes and hashes. Thread safe for different segments. Several at once are
  // hashed side by side: best_batch() says how many that should be.
  void encode(std::span<EncodedSegment> segments);
  // In order, one at a time.
  void add_to_flat_hash(const EncodedSegment& segment) { flat_.update(segment.ciphertext()); }
  // Once, after all segments.
  EncodedFile finish();

 private:
  FileEncoder(const Geometry& geometry, const ShareLayout& layout, std::optional<Key16> key,
              std::shared_ptr<const Codec> codec);

  Geometry geometry_;
  ShareLayout layout_;
  std::optional<Key16> key_;
  std::shared_ptr<const Codec> codec_;
  TaggedHasher flat_;
  std::vector<Hash32> segment_hashes_;
  std::vector<Hash32> block_hashes_;
};

// How many segments of k-of-n, at most `most`, fill the lanes of hash_many() best: with too few
// messages of too different lengths some lanes run empty. Pure.
std::size_t best_batch(std::uint64_t k, std::uint64_t n, std::size_t most, unsigned lanes);

}  // namespace lafs::grid
