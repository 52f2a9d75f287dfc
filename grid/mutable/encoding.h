// SPDX-License-Identifier: Apache-2.0
#pragma once

// Contents of a mutable file <-> its n shares (spec/mutable 2.1 and 3.1). CPU work only: callers
// offload what is large.

#include "grid/mutable/mutable_share.h"

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
};
// The usual way: encodes and signs.
Result<EncodedVersion> encode_version(const NewVersion& version, const FileKeys& keys,
                                      ByteView plaintext);

struct NumberedShare {
  ShareNo number;
  ByteView share;
};
// The contents from k shares of distinct numbers that passed check_body with this very header.
Result<Bytes> decode_version(const ShareHeader& header, std::span<const NumberedShare> shares,
                             const Key16& read_key);

}  // namespace lafs::grid
