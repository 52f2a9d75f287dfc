// SPDX-License-Identifier: Apache-2.0
// Changing a part of an MDMF file where it is: encoding.h.

#include "grid/caps/keys.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/merkle.h"
#include "grid/crypto/random.h"
#include "grid/erasure/codec.h"
#include "grid/mutable/encoding.h"

namespace lafs::grid {

std::uint64_t Patch::length_after(std::uint64_t old_length) const {
  const auto length = new_length.value_or(old_length);
  return data.empty() ? length : std::max<std::uint64_t>(length, offset + data.size());
}

Bytes Patch::applied(ByteView old) const {
  Bytes out(length_after(old.size()));
  const auto kept = std::min<std::uint64_t>(old.size(), new_length.value_or(old.size()));
  std::copy_n(old.begin(), std::min<std::uint64_t>(kept, out.size()), out.begin());
  std::ranges::copy(data, out.begin() + static_cast<std::ptrdiff_t>(data.empty() ? 0 : offset));
  return out;
}

SegmentRange touched_segments(const MutableGeometry& old, const MutableGeometry& now,
                              const Patch& patch) {
  const auto segments = now.segments();
  if (segments == 0) return {};
  const auto in_patch = segments_of(now, patch.offset, patch.data.size());
  std::uint64_t first = segments, end = 0;
  const auto add = [&](std::uint64_t from, std::uint64_t to) {
    if (from >= to) return;
    first = std::min(first, from);
    end = std::max(end, to);
  };
  add(in_patch.first, in_patch.end());
  // What is cut away and filled up again is zeros afterwards.
  const auto kept =
      std::min({old.data_length, patch.new_length.value_or(old.data_length), now.data_length});
  if (kept < now.data_length) add(kept / now.segment_size, segments);
  // The last segment may have become longer or shorter.
  const auto last = segments - 1;
  if (last >= old.segments() || old.segment_length(last) != now.segment_length(last)) {
    add(last, segments);
  }
  if (old.segments() > 0 && old.segments() < segments) {
    const auto old_last = old.segments() - 1;
    if (old.segment_length(old_last) != now.segment_length(old_last)) add(old_last, segments);
  }
  return first < end ? SegmentRange{first, end - first} : SegmentRange{};
}

Result<EncodedVersion> encode_patch(const ShareHeader& old, const MutableGeometry& now,
                                    std::uint64_t seqnum, SegmentRange touched, ByteView plaintext,
                                    std::vector<std::vector<Hash32>> leaves, const FileKeys& keys) {
  TRY(codec, Codec::make(static_cast<unsigned>(now.k), static_cast<unsigned>(now.n)));
  auto header = ShareHeader::plan(MutableFormat::mdmf, now, seqnum, Salt{}, keys.public_key.size(),
                                  keys.encrypted_private_key.size());
  // Other writers may have packed the front differently; then it cannot be changed in place.
  if (header.offsets().share_data != old.offsets().share_data ||
      old.geometry().segment_size != now.segment_size) {
    return fail(Errc::unsupported, "the shares are not laid out as ours");
  }
  const auto segments = now.segments();
  const auto range = blocks_range(header, touched);
  std::vector<Bytes> blocks(now.n, Bytes(range.size()));
  for (auto& of_share : leaves) of_share.resize(segments);
  std::vector<const std::uint8_t*> pieces(now.k);
  std::vector<std::uint8_t*> parity(now.n - now.k);
  Bytes ciphertext;
  std::uint64_t at = 0;  // in plaintext
  for (auto s = touched.first; s < touched.end(); ++s) {
    const auto length = now.segment_length(s);
    const auto block = now.block_length(s);
    const auto salt = random_array<16>();
    ciphertext.assign(now.k * block, 0);
    AesCtr(data_key(salt, keys.read_key))
        .process(plaintext.subspan(at, length), MutableBytes(ciphertext).first(length));
    at += length;
    const auto salt_at = header.segment_offset(s) - range.begin;
    for (std::uint64_t i = 0; i < now.n; ++i) {
      std::uint8_t* out = blocks[i].data() + salt_at;
      std::ranges::copy(salt, out);
      if (i < now.k) {
        pieces[i] = ciphertext.data() + i * block;
        std::copy_n(pieces[i], block, out + salt.size());
      } else {
        parity[i - now.k] = out + salt.size();
      }
    }
    codec->encode(pieces, parity, block);
    for (std::uint64_t i = 0; i < now.n; ++i) {
      const auto stored = ByteView(blocks[i]).subspan(salt_at + salt.size(), block);
      leaves[i][s] = block_hash(MutableFormat::mdmf, salt, stored);
    }
  }

  std::vector<Hash32> roots;
  std::vector<Bytes> trees(now.n);
  for (std::uint64_t i = 0; i < now.n; ++i) {
    const auto tree = merkle_tree(leaves[i]);
    for (const auto& node : tree) append(trees[i], node);
    roots.push_back(tree[0]);
  }
  const auto share_tree = merkle_tree(roots);
  header.set_root_hash(share_tree[0]);
  const auto signature = keys.private_key.sign(header.signed_prefix());
  EncodedVersion out{header, {}, {}};
  out.patches.resize(now.n);
  for (std::uint64_t i = 0; i < now.n; ++i) {
    // Header, private key, chain, signature and public key are one piece.
    Bytes front(header.bytes());
    append(front, keys.encrypted_private_key);
    append(front, share_hash_chain(share_tree, now.n, i));
    append(front, signature);
    append(front, keys.public_key);
    auto& patch = out.patches[i];
    patch.push_back({0, std::move(front)});
    if (range.size() > 0) patch.push_back({range.begin, std::move(blocks[i])});
    patch.push_back({header.offsets().block_hash_tree, std::move(trees[i])});
  }
  return out;
}

}  // namespace lafs::grid
