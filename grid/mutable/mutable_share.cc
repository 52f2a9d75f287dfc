// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/mutable_share.h"

#include "grid/caps/keys.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/merkle.h"

namespace lafs::grid {

namespace {

// No key of 2048 bits comes near; keeps a damaged offset from asking for much.
constexpr std::uint64_t max_key_size = 4096;
// Far beyond what anybody stores in a mutable file, and safe against overflow everywhere.
constexpr std::uint64_t max_length = std::uint64_t{1} << 46;
// Room that MDMF reserves for the keys, signature and chain (spec/mutable 3).
constexpr std::uint64_t mdmf_data_offset = 2167;
constexpr std::size_t chain_entry = 2 + 32;

Hash32 to_hash(ByteView bytes) {
  Hash32 out;
  std::copy_n(bytes.begin(), out.size(), out.begin());
  return out;
}

TaggedHasher& leaf_hasher() {
  thread_local TaggedHasher hasher("allmydata_encoded_subshare_v1");
  return hasher;
}

}  // namespace

std::size_t checkstring_size(MutableFormat format) {
  return format == MutableFormat::sdmf ? 57 : 41;
}

ByteView ShareHeader::signed_prefix() const {
  return ByteView(bytes_).first(format_ == MutableFormat::sdmf ? 75 : 59);
}

ByteView ShareHeader::checkstring() const {
  return ByteView(bytes_).first(checkstring_size(format_));
}

std::uint64_t ShareHeader::chain_size() const {
  return MerkleShape(geometry_.n).siblings(0).size() * chain_entry;
}

std::uint64_t ShareHeader::tree_size() const {
  return MerkleShape(geometry_.segments()).nodes() * 32;
}

std::uint64_t ShareHeader::segment_offset(std::uint64_t segment) const {
  return offsets_.share_data + segment * (geometry_.segment_size / geometry_.k + salt_size());
}

Result<ShareHeader> ShareHeader::parse(ByteView share) {
  ShareHeader header;
  TRY_DO(header.decode(share));
  TRY_DO(header.check());
  return header;
}

Result<> ShareHeader::decode(ByteView share) {
  if (share.empty()) return fail(Errc::corrupt, "mutable share: empty");
  if (share[0] > 1) {
    return fail(Errc::corrupt, "mutable share: unknown version " + std::to_string(share[0]));
  }
  format_ = share[0] == 0 ? MutableFormat::sdmf : MutableFormat::mdmf;
  const auto size = format_ == MutableFormat::sdmf ? sdmf_size : mdmf_size;
  if (share.size() < size) {
    return fail(Errc::corrupt,
                "mutable share: header cut at " + std::to_string(share.size()) + " bytes");
  }
  bytes_ = to_bytes(share.first(size));
  const std::uint8_t* p = bytes_.data();
  id_.seqnum = get_be<std::uint64_t>(p + 1);
  id_.root_hash = to_hash(share.subspan(9, 32));
  auto& o = offsets_;
  if (format_ == MutableFormat::sdmf) {
    std::copy_n(p + 41, iv_.size(), iv_.begin());
    geometry_ = {p[57], p[58], get_be<std::uint64_t>(p + 59), get_be<std::uint64_t>(p + 67)};
    o.signature = get_be<std::uint32_t>(p + 75);
    o.share_hash_chain = get_be<std::uint32_t>(p + 79);
    o.block_hash_tree = get_be<std::uint32_t>(p + 83);
    o.share_data = get_be<std::uint32_t>(p + 87);
    o.private_key = get_be<std::uint64_t>(p + 91);
    o.end = get_be<std::uint64_t>(p + 99);
    o.public_key = sdmf_size;
    o.public_key_end = o.signature;
    o.private_key_end = o.end;
  } else {
    geometry_ = {p[41], p[42], get_be<std::uint64_t>(p + 43), get_be<std::uint64_t>(p + 51)};
    o.private_key = get_be<std::uint64_t>(p + 59);
    o.share_hash_chain = get_be<std::uint64_t>(p + 67);
    o.signature = get_be<std::uint64_t>(p + 75);
    o.public_key = get_be<std::uint64_t>(p + 83);
    o.public_key_end = get_be<std::uint64_t>(p + 91);
    o.share_data = get_be<std::uint64_t>(p + 99);
    o.block_hash_tree = get_be<std::uint64_t>(p + 107);
    o.end = get_be<std::uint64_t>(p + 115);
    o.private_key_end = o.share_hash_chain;
  }
  return {};
}

Result<> ShareHeader::check() const {
  const auto& g = geometry_;
  const auto& o = offsets_;
  if (g.k < 1 || g.n < g.k) return fail(Errc::corrupt, "mutable share: impossible k or n");
  if (g.data_length > max_length || g.segment_size > max_length || g.segment_size % g.k != 0 ||
      (g.data_length > 0 && g.segment_size == 0)) {
    return fail(Errc::corrupt, "mutable share: impossible sizes");
  }
  const bool sdmf = format_ == MutableFormat::sdmf;
  if (sdmf && g.segments() > 1) {
    return fail(Errc::corrupt, "mutable share: SDMF with more than one segment");
  }
  for (const auto offset : {o.public_key, o.public_key_end, o.signature, o.share_hash_chain,
                            o.block_hash_tree, o.share_data, o.private_key, o.end}) {
    if (offset > 4 * max_length) return fail(Errc::corrupt, "mutable share: impossible offset");
  }
  const auto key_fits = [](std::uint64_t begin, std::uint64_t end) {
    return begin < end && end - begin <= max_key_size;
  };
  std::uint64_t data_end = o.share_data;
  if (const auto segments = g.segments(); segments > 0) {
    data_end = segment_offset(segments - 1) + salt_size() + g.block_length(segments - 1);
  }
  const bool tight =
      key_fits(o.public_key, o.public_key_end) && key_fits(o.private_key, o.private_key_end) &&
      (sdmf
           ? o.share_hash_chain == o.signature + signature_size &&
                 o.block_hash_tree == o.share_hash_chain + chain_size() &&
                 o.share_data == o.block_hash_tree + tree_size() && o.private_key == data_end
           : o.private_key == mdmf_size && o.signature == o.share_hash_chain + chain_size() &&
                 o.public_key == o.signature + signature_size && o.share_data >= o.public_key_end &&
                 o.share_data <= o.public_key_end + max_key_size && o.block_hash_tree == data_end &&
                 o.end == o.block_hash_tree + tree_size());
  if (!tight) return fail(Errc::corrupt, "mutable share: offsets do not fit the contents");
  return {};
}

ShareHeader ShareHeader::plan(MutableFormat format, const MutableGeometry& geometry,
                              std::uint64_t seqnum, const Salt& iv, std::size_t public_key_size,
                              std::size_t private_key_size) {
  ShareHeader h;
  h.format_ = format;
  h.geometry_ = geometry;
  h.id_.seqnum = seqnum;
  h.iv_ = iv;
  auto& o = h.offsets_;
  const auto data_size = [&] {
    const auto segments = geometry.segments();
    if (segments == 0) return std::uint64_t{0};
    return h.segment_offset(segments - 1) - o.share_data + h.salt_size() +
           geometry.block_length(segments - 1);
  };
  if (format == MutableFormat::sdmf) {
    o.public_key = sdmf_size;
    o.public_key_end = o.signature = o.public_key + public_key_size;
    o.share_hash_chain = o.signature + signature_size;
    o.block_hash_tree = o.share_hash_chain + h.chain_size();
    o.share_data = o.block_hash_tree + h.tree_size();
    o.private_key = o.share_data + data_size();
    o.private_key_end = o.end = o.private_key + private_key_size;
  } else {
    o.private_key = mdmf_size;
    o.private_key_end = o.share_hash_chain = o.private_key + private_key_size;
    o.signature = o.share_hash_chain + h.chain_size();
    o.public_key = o.signature + signature_size;
    o.public_key_end = o.public_key + public_key_size;
    o.share_data = std::max(mdmf_data_offset, o.public_key_end);
    o.block_hash_tree = o.share_data + data_size();
    o.end = o.block_hash_tree + h.tree_size();
  }
  h.encode();
  return h;
}

void ShareHeader::set_root_hash(const Hash32& root_hash) {
  id_.root_hash = root_hash;
  encode();
}

void ShareHeader::encode() {
  Bytes& b = bytes_;
  b.clear();
  const auto u8 = [&](std::uint64_t v) { b.push_back(static_cast<std::uint8_t>(v)); };
  const auto u32 = [&](std::uint64_t v) { append_be(b, static_cast<std::uint32_t>(v)); };
  const auto u64 = [&](std::uint64_t v) { append_be(b, v); };
  const auto& o = offsets_;
  const bool sdmf = format_ == MutableFormat::sdmf;
  u8(sdmf ? 0 : 1);
  u64(id_.seqnum);
  append(b, id_.root_hash);
  if (sdmf) append(b, iv_);
  u8(geometry_.k);
  u8(geometry_.n);
  u64(geometry_.segment_size);
  u64(geometry_.data_length);
  if (sdmf) {
    for (const auto v : {o.signature, o.share_hash_chain, o.block_hash_tree, o.share_data}) u32(v);
    for (const auto v : {o.private_key, o.end}) u64(v);
  } else {
    for (const auto v : {o.private_key, o.share_hash_chain, o.signature, o.public_key,
                         o.public_key_end, o.share_data, o.block_hash_tree, o.end}) {
      u64(v);
    }
  }
}

Result<> SignatureCheck::check(const ShareHeader& header, ByteView share) {
  const auto& o = header.offsets();
  const auto key = slice(share, o.public_key, o.public_key_end - o.public_key);
  const auto signature = slice(share, o.signature, ShareHeader::signature_size);
  if (!key || !signature) return fail(Errc::corrupt, "mutable share: cut before the signature");
  Sha256 hasher;
  hasher.update(*key);
  hasher.update(*signature);
  hasher.update(header.signed_prefix());
  const auto triple = hasher.finish();
  if (good_.contains(triple)) return {};
  if (fingerprint_of(*key) != fingerprint_) {
    return fail(Errc::corrupt, "mutable share: not the public key that the cap names");
  }
  TRY(parsed, RsaPublicKey::from_spki(*key));
  if (!parsed.verify(header.signed_prefix(), *signature)) {
    return fail(Errc::corrupt, "mutable share: bad signature");
  }
  good_.insert(triple);
  return {};
}

Hash32 block_hash(MutableFormat format, const Salt& salt, ByteView block) {
  auto& hasher = leaf_hasher();
  if (format == MutableFormat::mdmf) hasher.update(salt);
  hasher.update(block);
  return hasher.finish();
}

Salt salt_of(const ShareHeader& header, ByteView share, std::uint64_t segment,
             std::uint64_t begin) {
  if (header.format() == MutableFormat::sdmf) return header.iv();
  Salt salt{};
  if (const auto raw = slice(share, header.segment_offset(segment) - begin, salt.size())) {
    std::copy(raw->begin(), raw->end(), salt.begin());
  }
  return salt;
}

ByteView block_of(const ShareHeader& header, ByteView share, std::uint64_t segment,
                  std::uint64_t begin) {
  return slice(share, header.segment_offset(segment) - begin + header.salt_size(),
               header.geometry().block_length(segment))
      .value_or(ByteView{});
}

namespace {

// Does the share hash chain lead from the root of the block hash tree to the root hash?
Result<> check_chain(const ShareHeader& header, ByteView share, ShareNo number,
                     const Hash32& block_root) {
  if (number.value >= header.geometry().n) {
    return fail(Errc::corrupt, "mutable share: its number is not below n");
  }
  const auto chain = slice(share, header.offsets().share_hash_chain, header.chain_size());
  if (!chain) return fail(Errc::corrupt, "mutable share: shorter than its header says");
  std::map<std::uint64_t, Hash32> known;
  for (std::size_t at = 0; at < chain->size(); at += chain_entry) {
    known[get_be<std::uint16_t>(chain->data() + at)] = to_hash(chain->subspan(at + 2, 32));
  }
  PartialMerkleTree share_tree(header.geometry().n);
  TRY_DO(share_tree.set_root(header.id().root_hash));
  if (auto added = share_tree.add(known, {{number.value, block_root}}); !added) {
    return annotate(added.error(), "mutable share: share hash chain");
  }
  return {};
}

}  // namespace

SegmentRange segments_of(const MutableGeometry& geometry, std::uint64_t offset,
                         std::uint64_t length) {
  if (length == 0) return {};
  const auto first = offset / geometry.segment_size;
  return {first, (offset + length - 1) / geometry.segment_size - first + 1};
}

ByteRange leaves_range(const ShareHeader& header) {
  const MerkleShape shape(header.geometry().segments());
  const auto begin = header.offsets().block_hash_tree + shape.node_of_leaf(0) * 32;
  return {begin, begin + std::max<std::uint64_t>(1, header.geometry().segments()) * 32};
}

Result<std::vector<Hash32>> check_leaves(const ShareHeader& header, ByteView start, ByteView leaves,
                                         ShareNo number) {
  if (leaves.size() != leaves_range(header).size()) {
    return fail(Errc::corrupt, "mutable share: shorter than its header says");
  }
  const auto segments = header.geometry().segments();
  std::vector<Hash32> out;
  for (std::uint64_t i = 0; i < segments; ++i) out.push_back(to_hash(leaves.subspan(i * 32, 32)));
  TRY_DO(check_chain(header, start, number, merkle_root(out)));
  return out;
}

ByteRange blocks_range(const ShareHeader& header, SegmentRange segments) {
  if (segments.count == 0) return {header.offsets().share_data, header.offsets().share_data};
  const auto last = segments.end() - 1;
  return {header.segment_offset(segments.first),
          header.segment_offset(last) + header.salt_size() + header.geometry().block_length(last)};
}

Result<> check_blocks(const ShareHeader& header, ByteView blocks, SegmentRange segments,
                      const std::vector<Hash32>& leaves) {
  const auto range = blocks_range(header, segments);
  if (blocks.size() != range.size() || segments.end() > leaves.size()) {
    return fail(Errc::corrupt, "mutable share: shorter than its header says");
  }
  for (auto s = segments.first; s < segments.end(); ++s) {
    const auto hash = block_hash(header.format(), salt_of(header, blocks, s, range.begin),
                                 block_of(header, blocks, s, range.begin));
    if (hash != leaves[s]) {
      return fail(Errc::corrupt, "mutable share: block hash tree does not fit the blocks");
    }
  }
  return {};
}

Result<> check_body(const ShareHeader& header, ByteView share, ShareNo number) {
  const auto& g = header.geometry();
  const auto& o = header.offsets();
  if (number.value >= g.n) return fail(Errc::corrupt, "mutable share: its number is not below n");
  const auto tree = slice(share, o.block_hash_tree, header.tree_size());
  const auto segments = g.segments();
  const auto data_end = segments == 0 ? o.share_data
                                      : header.segment_offset(segments - 1) + header.salt_size() +
                                            g.block_length(segments - 1);
  // A private key that is cut off behind the data of SDMF does not keep anybody from reading.
  if (!tree || data_end > share.size()) {
    return fail(Errc::corrupt, "mutable share: shorter than its header says");
  }
  // Everything below is bounded by the bytes that are really there.
  std::vector<Hash32> leaves;
  leaves.reserve(segments);
  for (std::uint64_t i = 0; i < segments; ++i) {
    leaves.push_back(
        block_hash(header.format(), salt_of(header, share, i), block_of(header, share, i)));
  }
  const auto nodes = merkle_tree(leaves);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!equal(nodes[i], tree->subspan(i * 32, 32))) {
      return fail(Errc::corrupt, "mutable share: block hash tree does not fit the blocks");
    }
  }
  return check_chain(header, share, number, nodes[0]);
}

std::optional<ByteView> private_key_in(const ShareHeader& header, ByteView share) {
  const auto& o = header.offsets();
  return slice(share, o.private_key, o.private_key_end - o.private_key);
}

Result<RsaPrivateKey> decrypt_private_key(ByteView encrypted, const Key16& write_key) {
  const auto der = aes_ctr(write_key, encrypted);
  if (write_key_of(der) != write_key) {
    return fail(Errc::corrupt, "mutable share: not the private key of the write cap");
  }
  return RsaPrivateKey::from_pkcs8(der);
}

}  // namespace lafs::grid
