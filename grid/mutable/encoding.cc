// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/encoding.h"

#include "grid/caps/keys.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/merkle.h"
#include "grid/crypto/random.h"
#include "grid/erasure/codec.h"

namespace lafs::grid {

FileKeys::FileKeys(RsaPrivateKey key)
    : private_key(std::move(key)),
      public_key(private_key.public_key().spki()),
      write_key(write_key_of(private_key.pkcs8())),
      read_key(read_key_of(write_key)),
      fingerprint(fingerprint_of(public_key)),
      encrypted_private_key(aes_ctr(write_key, private_key.pkcs8())) {}

namespace {

void copy_at(Bytes& to, std::uint64_t offset, ByteView bytes) {
  std::copy(bytes.begin(), bytes.end(), to.begin() + static_cast<std::ptrdiff_t>(offset));
}

// Ciphertext of one segment, padded with zeros to k blocks: the padding is not encrypted.
void encrypt_segment(ByteView plaintext, const Salt& salt, const Key16& read_key,
                     std::uint64_t padded, Bytes& out) {
  out.assign(padded, 0);
  AesCtr(data_key(salt, read_key)).process(plaintext, MutableBytes(out).first(plaintext.size()));
}

}  // namespace

Bytes share_hash_chain(std::span<const Hash32> share_tree, std::uint64_t n, std::uint64_t number) {
  Bytes chain;
  auto siblings = MerkleShape(n).siblings(number);
  std::ranges::sort(siblings);
  for (const auto node : siblings) {
    append_be(chain, static_cast<std::uint16_t>(node));
    append(chain, share_tree[node]);
  }
  return chain;
}

Result<VersionEncoder> VersionEncoder::make(const NewVersion& version, const FileKeys& keys,
                                            ByteView plaintext) {
  if (version.k < 1 || version.k > version.n || version.n > 255) {
    return fail(Errc::bad_argument, "encoding a mutable file: k and n must be 1 <= k <= n <= 255");
  }
  const bool mdmf = version.format == MutableFormat::mdmf;
  MutableGeometry g{version.k, version.n, 0, plaintext.size()};
  g.segment_size = round_up(mdmf ? version.segment_size : plaintext.size(), version.k);
  if (mdmf && g.segment_size == 0) return fail(Errc::bad_argument, "segment size 0");

  std::vector<Salt> salts = version.salts;
  while (salts.size() < std::max<std::uint64_t>(1, g.segments())) {
    salts.push_back(random_array<16>());
  }
  VersionEncoder encoder;
  auto& header = encoder.header_;
  header = ShareHeader::plan(version.format, g, version.seqnum, mdmf ? Salt{} : salts[0],
                             keys.public_key.size(), keys.encrypted_private_key.size());
  const auto& o = header.offsets();
  TRY(codec, Codec::make(static_cast<unsigned>(g.k), static_cast<unsigned>(g.n)));

  encoder.shares_.assign(g.n, Bytes(o.end));
  std::vector<std::vector<Hash32>> leaves(g.n);
  std::vector<const std::uint8_t*> pieces(g.k);
  std::vector<std::uint8_t*> parity(g.n - g.k);
  Bytes ciphertext;
  for (std::uint64_t s = 0; s < g.segments(); ++s) {
    const auto block = g.block_length(s);
    encrypt_segment(plaintext.subspan(s * g.segment_size, g.segment_length(s)), salts[s],
                    keys.read_key, g.k * block, ciphertext);
    const auto at = header.segment_offset(s);
    const auto block_at = at + header.salt_size();
    for (std::uint64_t i = 0; i < g.n; ++i) {
      auto& share = encoder.shares_[i];
      if (mdmf) copy_at(share, at, salts[s]);
      if (i < g.k) {
        pieces[i] = ciphertext.data() + i * block;
        copy_at(share, block_at, {pieces[i], block});
      } else {
        parity[i - g.k] = share.data() + block_at;
      }
    }
    codec->encode(pieces, parity, block);
    for (std::uint64_t i = 0; i < g.n; ++i) {
      leaves[i].push_back(block_hash(version.format, salts[s],
                                     ByteView(encoder.shares_[i]).subspan(block_at, block)));
    }
  }

  std::vector<Hash32> roots;
  for (std::uint64_t i = 0; i < g.n; ++i) {
    const auto tree = merkle_tree(leaves[i]);
    for (std::size_t node = 0; node < tree.size(); ++node) {
      copy_at(encoder.shares_[i], o.block_hash_tree + node * 32, tree[node]);
    }
    roots.push_back(tree[0]);
  }
  const auto share_tree = merkle_tree(roots);
  for (std::uint64_t i = 0; i < g.n; ++i) {
    copy_at(encoder.shares_[i], o.share_hash_chain, share_hash_chain(share_tree, g.n, i));
    copy_at(encoder.shares_[i], o.public_key, keys.public_key);
    copy_at(encoder.shares_[i], o.private_key, keys.encrypted_private_key);
  }
  header.set_root_hash(share_tree[0]);
  return encoder;
}

std::vector<Bytes> VersionEncoder::finish(ByteView signature) {
  for (auto& share : shares_) {
    copy_at(share, 0, header_.bytes());
    copy_at(share, header_.offsets().signature, signature.first(ShareHeader::signature_size));
  }
  return std::move(shares_);
}

Result<EncodedVersion> encode_version(const NewVersion& version, const FileKeys& keys,
                                      ByteView plaintext) {
  TRY(encoder, VersionEncoder::make(version, keys, plaintext));
  const auto signature = keys.private_key.sign(encoder.header().signed_prefix());
  auto shares = encoder.finish(signature);
  return EncodedVersion{encoder.header(), std::move(shares)};
}

Result<Bytes> decode_version(const ShareHeader& header, std::span<const NumberedShare> shares,
                             const Key16& read_key) {
  return decode_segments(header, {0, header.geometry().segments()}, shares, read_key);
}

Result<Bytes> decode_segments(const ShareHeader& header, SegmentRange segments,
                              std::span<const NumberedShare> shares, const Key16& read_key) {
  const auto& g = header.geometry();
  if (shares.size() != g.k) return fail(Errc::bad_argument, "decoding needs exactly k shares");
  TRY(codec, Codec::make(static_cast<unsigned>(g.k), static_cast<unsigned>(g.n)));
  std::vector<unsigned> numbers;
  for (const auto& s : shares) {
    numbers.push_back(static_cast<unsigned>(s.number.value));
  }
  Bytes plaintext;  // grows with what is really there
  Bytes decoded;
  std::vector<const std::uint8_t*> blocks(g.k);
  std::vector<std::uint8_t*> pieces(g.k);
  for (auto s = segments.first; s < segments.end(); ++s) {
    const auto length = g.block_length(s);
    decoded.resize(g.k * length);
    for (std::size_t i = 0; i < g.k; ++i) {
      const auto block = block_of(header, shares[i].share, s, shares[i].begin);
      if (block.size() != length) return fail(Errc::corrupt, "a share is cut");
      blocks[i] = block.data();
      pieces[i] = decoded.data() + i * length;
    }
    TRY_DO(codec->decode(numbers, blocks, pieces, length));
    decoded.resize(g.segment_length(s));
    AesCtr(data_key(salt_of(header, shares[0].share, s, shares[0].begin), read_key))
        .process(decoded);
    append(plaintext, decoded);
  }
  return plaintext;
}

}  // namespace lafs::grid
