// SPDX-License-Identifier: Apache-2.0
#pragma once

// Contents of a mutable file <-> its n shares (spec/mutable 2.1 and 3.1). CPU work only: callers
// offload what is large.

#include "grid/mutable/mutable_share.h"
#include "grid/storage/server.h"

namespace lafs::grid {

// The keys of one file as its writer needs them.
struct FileKeys {
  explicit FileKeys(RsaPrivateKey private_key);

  RsaPrivateKey private_key;
  Bytes public_key;  // SubjectPublicKeyInfo
  Key16 write_key;
  Key16 read_key;
  Hash32 fingerprint;
  Bytes encrypted_private_key;  // as stored in every share
};

struct NewVersion {
  MutableFormat format = MutableFormat::sdmf;
  std::uint64_t seqnum = 1;
  std::uint64_t k = 0;
  std::uint64_t n = 0;
  // MDMF only; rounded up to a multiple of k.
  std::uint64_t segment_size = 131072;
  // SDMF: one, the IV, even for an empty file; MDMF: one for each segment. Missing ones are random.
  std::vector<Salt> salts;
};

// The share hash chain of share `number` as its share holds it.
Bytes share_hash_chain(std::span<const Hash32> share_tree, std::uint64_t n, std::uint64_t number);

class VersionEncoder {
 public:
  // Errc::bad_argument unless 1 <= k <= n <= 255; too_large for SDMF shares that 32-bit offsets and
  // MDMF headers that the reserved room cannot hold.
  static Result<VersionEncoder> make(const NewVersion& version, const FileKeys& keys,
                                     ByteView plaintext);

  const ShareHeader& header() const { return header_; }
  // Completes the shares with a signature over header().signed_prefix(); 256 bytes. Once.
  std::vector<Bytes> finish(ByteView signature);

 private:
  VersionEncoder() = default;
  ShareHeader header_;
  std::vector<Bytes> shares_;
};

struct EncodedVersion {
  ShareHeader header;
  std::vector<Bytes> shares;  // by share number; all of the same length
  // Instead of `shares`: what to write into each share of the version before.
  std::vector<std::vector<storage::WriteVector>> patches{};
};
// The usual way: encodes and signs.
Result<EncodedVersion> encode_version(const NewVersion& version, const FileKeys& keys,
                                      ByteView plaintext);

struct NumberedShare {
  ShareNo number;
  ByteView share;
  std::uint64_t begin = 0;  // where in the share it begins: for parts
};
// The contents from k shares of distinct numbers that passed check_body with this very header.
Result<Bytes> decode_version(const ShareHeader& header, std::span<const NumberedShare> shares,
                             const Key16& read_key);
// The plaintext of some segments; the shares' parts passed check_blocks.
Result<Bytes> decode_segments(const ShareHeader& header, SegmentRange segments,
                              std::span<const NumberedShare> shares, const Key16& read_key);

// --- changing a part of an MDMF file where it is (spec/mutable 7.4)

// What becomes of the contents: first they get `new_length` (cut, or filled with zeros), then the
// bytes at `offset` are replaced.
struct Patch {
  std::optional<std::uint64_t> new_length;
  std::uint64_t offset = 0;
  Bytes data;

  // The contents after it.
  std::uint64_t length_after(std::uint64_t old_length) const;
  Bytes applied(ByteView old) const;
};

// The segments of the new version whose bytes or length differ from the old version's.
SegmentRange touched_segments(const MutableGeometry& old, const MutableGeometry& now,
                              const Patch& patch);

// The same file with `patch` in it, as patches of the n old shares. `leaves`: of every old share's
// block hash tree. `plaintext`: of the touched segments, after the patch. Fresh salts.
Result<EncodedVersion> encode_patch(const ShareHeader& old, const MutableGeometry& now,
                                    std::uint64_t seqnum, SegmentRange touched, ByteView plaintext,
                                    std::vector<std::vector<Hash32>> leaves, const FileKeys& keys);

}  // namespace lafs::grid
