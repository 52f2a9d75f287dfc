// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bytes of one share of a mutable file (docs/formats/mutable-share.md; spec/mutable 2 and 3).
// Big-endian throughout. Offsets count from the start of the slot's data.
//
//   SDMF (0): 0 version, 1 seqnum u64, 9 root hash 32, 41 IV 16, 57 k, 58 n, 59 segment size u64,
//     67 data length u64, 75 offsets of: signature u32, share hash chain u32, block hash tree u32,
//     share data u32, encrypted private key u64, end u64; 107 public key, signature, chain, tree,
//     one block, encrypted private key. Signed: bytes 0..75. Checkstring: bytes 0..57.
//   MDMF (1): 0 version, 1 seqnum u64, 9 root hash 32, 41 k, 42 n, 43 segment size u64, 51 data
//     length u64, 59 offsets (u64) of: encrypted private key, chain, signature, public key, end of
//     public key, share data, tree, end; 123 encrypted private key, chain, signature, public key,
//     zeros; share data: for each segment a salt of 16 bytes and a block; tree. Signed: bytes
//     0..59. Checkstring: bytes 0..41.
//
// A slot may hold stale bytes behind the end: they are left over from a longer version.
// Every share is judged by itself: nothing is believed because another share was good.

#include <set>

#include "grid/base/ranges.h"
#include "grid/caps/cap.h"
#include "grid/caps/storage_index.h"
#include "grid/crypto/rsa.h"
#include "grid/mutable/version.h"

namespace lafs::grid {

using Salt = std::array<std::uint8_t, 16>;

// How contents are cut into segments and blocks. SDMF has one segment, or none when empty.
struct MutableGeometry {
  std::uint64_t k = 0;
  std::uint64_t n = 0;
  std::uint64_t segment_size = 0;  // a multiple of k; the last segment is usually shorter
  std::uint64_t data_length = 0;   // of the plaintext

  std::uint64_t segments() const { return data_length ? ceil_div(data_length, segment_size) : 0; }
  std::uint64_t segment_length(std::uint64_t segment) const {
    return std::min(segment_size, data_length - segment * segment_size);
  }
  std::uint64_t block_length(std::uint64_t segment) const {
    return ceil_div(segment_length(segment), k);
  }
  bool operator==(const MutableGeometry&) const = default;
};

struct MutableOffsets {
  std::uint64_t public_key = 0;
  std::uint64_t public_key_end = 0;
  std::uint64_t signature = 0;
  std::uint64_t share_hash_chain = 0;
  std::uint64_t block_hash_tree = 0;
  std::uint64_t share_data = 0;
  std::uint64_t private_key = 0;
  std::uint64_t private_key_end = 0;
  std::uint64_t end = 0;
  bool operator==(const MutableOffsets&) const = default;
};

// The first 107 (SDMF) or 123 (MDMF) bytes. Two shares are of the same version when these are
// equal, the unsigned offsets included: a server that changes those has made its share useless,
// not wrong.
class ShareHeader {
 public:
  static constexpr std::size_t sdmf_size = 107;
  static constexpr std::size_t mdmf_size = 123;
  static constexpr std::size_t signature_size = 256;
  // What a first read asks for: all of a share but the data of a large file.
  static constexpr std::size_t first_read = 4000;

  // Errc::corrupt when the numbers contradict each other or the packing is not tight. `share` may
  // be the beginning only.
  static Result<ShareHeader> parse(ByteView share);
  // The header of a new version; the root hash and signature come later.
  static ShareHeader plan(MutableFormat format, const MutableGeometry& geometry,
                          std::uint64_t seqnum, const Salt& iv, std::size_t public_key_size,
                          std::size_t private_key_size);
  void set_root_hash(const Hash32& root_hash);

  MutableFormat format() const { return format_; }
  const VersionId& id() const { return id_; }
  const MutableGeometry& geometry() const { return geometry_; }
  const MutableOffsets& offsets() const { return offsets_; }
  const Salt& iv() const { return iv_; }  // SDMF only

  const Bytes& bytes() const { return bytes_; }
  ByteView signed_prefix() const;
  ByteView checkstring() const;

  std::uint64_t chain_size() const;  // bytes of the share hash chain
  std::uint64_t tree_size() const;   // bytes of the block hash tree
  std::uint64_t salt_size() const { return format_ == MutableFormat::mdmf ? 16 : 0; }
  // Where the salt (MDMF) and block of a segment are.
  std::uint64_t segment_offset(std::uint64_t segment) const;

  bool operator==(const ShareHeader& other) const { return bytes_ == other.bytes_; }

 private:
  void encode();
  Result<> decode(ByteView share);
  Result<> check() const;

  MutableFormat format_ = MutableFormat::sdmf;
  VersionId id_;
  Salt iv_{};
  MutableGeometry geometry_;
  MutableOffsets offsets_;
  Bytes bytes_;
};

// The length of a share's checkstring, judged by its version byte.
std::size_t checkstring_size(MutableFormat format);

// Is the share signed by the key that the cap names? Remembers the (key, signature, prefix)
// triples it has verified, so that ten shares of a version cost one verification.
class SignatureCheck {
 public:
  explicit SignatureCheck(const Hash32& fingerprint) : fingerprint_(fingerprint) {}
  // `share`: at least up to the end of the public key and signature.
  Result<> check(const ShareHeader& header, ByteView share);

 private:
  Hash32 fingerprint_;
  std::set<Hash32> good_;
};

// Do blocks, block hash tree and share hash chain of a complete share agree with the root hash?
Result<> check_body(const ShareHeader& header, ByteView share, ShareNo number);

// Consecutive segments of a file.
struct SegmentRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t end() const { return first + count; }
  bool operator==(const SegmentRange&) const = default;
};
// Those that hold [offset, offset + length); the range is inside of the file.
SegmentRange segments_of(const MutableGeometry& geometry, std::uint64_t offset,
                         std::uint64_t length);

// The leaves of the block hash tree, as a share has them: where they are, and what they are when
// they and the share hash chain (in `start`, the share's beginning) lead to the root hash.
ByteRange leaves_range(const ShareHeader& header);
Result<std::vector<Hash32>> check_leaves(const ShareHeader& header, ByteView start, ByteView leaves,
                                         ShareNo number);
// Where the salts and blocks of some segments are in a share, and whether they fit its leaves.
ByteRange blocks_range(const ShareHeader& header, SegmentRange segments);
Result<> check_blocks(const ShareHeader& header, ByteView blocks, SegmentRange segments,
                      const std::vector<Hash32>& leaves);

// One segment's salt (the IV for SDMF) and block; the share passed its checks. `share` begins at
// `begin` of the share.
Salt salt_of(const ShareHeader& header, ByteView share, std::uint64_t segment,
             std::uint64_t begin = 0);
ByteView block_of(const ShareHeader& header, ByteView share, std::uint64_t segment,
                  std::uint64_t begin = 0);

// The private key as it stands in a share; nothing when `share` ends before it.
std::optional<ByteView> private_key_in(const ShareHeader& header, ByteView share);
// Errc::corrupt when it is not the one of `write_key`.
Result<RsaPrivateKey> decrypt_private_key(ByteView encrypted, const Key16& write_key);

// The leaf of the block hash tree.
Hash32 block_hash(MutableFormat format, const Salt& salt, ByteView block);

}  // namespace lafs::grid
