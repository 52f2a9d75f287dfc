// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/encoder.h"

#include <algorithm>

#include "grid/caps/tags.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/hash_many.h"
#include "grid/crypto/merkle.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/ueb.h"

namespace lafs::grid {

Bytes EncodedFile::trailer(ShareNo share) const {
  const auto tree = geometry.tree_bytes();
  const auto leaves =
      std::span(block_hashes).subspan(share.value * geometry.num_segments, geometry.num_segments);
  Bytes out;
  out.reserve(layout.uri_extension - layout.plaintext_tree + 8 + ueb.size());
  out.resize(tree);  // the plaintext tree that nobody publishes any more: zeros
  append(out, serialize_tree(ciphertext_tree));
  append(out, serialize_tree(merkle_tree(leaves)));
  append(out, serialize_share_hashes(share_tree, geometry.n, share));
  if (layout.version == LayoutVersion::v1) {
    append_be<std::uint32_t>(out, static_cast<std::uint32_t>(ueb.size()));
  } else {
    append_be<std::uint64_t>(out, ueb.size());
  }
  append(out, ueb);
  return out;
}

FileEncoder::FileEncoder(const Geometry& geometry, const ShareLayout& layout,
                         std::optional<Key16> key, std::shared_ptr<const Codec> codec)
    : geometry_(geometry),
      layout_(layout),
      key_(key),
      codec_(std::move(codec)),
      flat_(tags::ciphertext),
      segment_hashes_(geometry.num_segments),
      block_hashes_(geometry.num_segments * geometry.n) {}

Result<std::unique_ptr<FileEncoder>> FileEncoder::make(const Geometry& geometry,
                                                       const std::optional<Key16>& key,
                                                       std::optional<LayoutVersion> force_layout) {
  TRY(layout, ShareLayout::make(geometry, force_layout));
  TRY(codec, Codec::make(static_cast<unsigned>(geometry.k), static_cast<unsigned>(geometry.n)));
  return std::unique_ptr<FileEncoder>(new FileEncoder(geometry, layout, key, std::move(codec)));
}

MutableBytes FileEncoder::prepare(EncodedSegment& segment, SegmentNo number) const {
  segment.number = number;
  segment.length = geometry_.segment_length(number);
  segment.block_length = geometry_.block_length(number);
  segment.data.resize(geometry_.padded_length(number));
  segment.parity.resize((geometry_.n - geometry_.k) * segment.block_length);
  return MutableBytes(segment.data).first(segment.length);
}

void FileEncoder::encode(std::span<EncodedSegment> segments) {
  std::vector<HashJob> hashes;
  hashes.reserve(segments.size() * (1 + geometry_.n));
  std::vector<const std::uint8_t*> pieces(geometry_.k);
  std::vector<std::uint8_t*> parity(geometry_.n - geometry_.k);
  for (auto& segment : segments) {
    const auto number = segment.number;
    if (key_) {
      AesCtr cipher(*key_, geometry_.segment_offset(number));
      cipher.process(MutableBytes(segment.data).first(segment.length));
    }
    // The padding is neither encrypted nor part of the ciphertext hashes.
    std::fill(segment.data.begin() + static_cast<std::ptrdiff_t>(segment.length),
              segment.data.end(), std::uint8_t{0});
    for (std::uint64_t i = 0; i < geometry_.k; ++i) {
      pieces[i] = segment.data.data() + i * segment.block_length;
    }
    for (std::uint64_t i = 0; i < parity.size(); ++i) {
      parity[i] = segment.parity.data() + i * segment.block_length;
    }
    codec_->encode(pieces, parity, segment.block_length);
    hashes.push_back(
        {tags::ciphertext_segment, segment.ciphertext(), &segment_hashes_[number.value]});
    for (std::uint64_t i = 0; i < geometry_.n; ++i) {
      hashes.push_back({tags::block, segment.block(ShareNo{i}),
                        &block_hashes_[i * geometry_.num_segments + number.value]});
    }
  }
  hash_many(hashes);
}

EncodedFile FileEncoder::finish() {
  EncodedFile out;
  out.geometry = geometry_;
  out.layout = layout_;
  out.ciphertext_hash = flat_.finish();
  out.ciphertext_tree = merkle_tree(segment_hashes_);
  std::vector<Hash32> roots;
  for (std::uint64_t i = 0; i < geometry_.n; ++i) {
    roots.push_back(merkle_root(std::span<const Hash32>(block_hashes_)
                                    .subspan(i * geometry_.num_segments, geometry_.num_segments)));
  }
  out.share_tree = merkle_tree(roots);
  out.ueb = Ueb::of(geometry_, out.ciphertext_hash, out.ciphertext_tree[0], out.share_tree[0])
                .serialize();
  out.ueb_hash = ueb_hash(out.ueb);
  out.block_hashes = std::move(block_hashes_);
  return out;
}

std::size_t best_batch(std::uint64_t k, std::uint64_t n, std::size_t most, unsigned lanes) {
  if (lanes <= 1) return 1;
  std::size_t best = 1;
  double best_use = 0;
  for (std::size_t batch = 1; batch <= most; ++batch) {
    // A segment is as long as k blocks; longest first, each to the lane that is free first.
    std::vector<std::uint64_t> busy(lanes);
    for (std::size_t i = 0; i < batch; ++i) *std::ranges::min_element(busy) += k;
    for (std::size_t i = 0; i < batch * n; ++i) *std::ranges::min_element(busy) += 1;
    const auto work = static_cast<double>(batch * (k + n));
    const auto use = work / static_cast<double>(lanes * *std::ranges::max_element(busy));
    if (use <= best_use + 0.02) continue;
    best_use = use;
    best = batch;
  }
  return best;
}

}  // namespace lafs::grid
