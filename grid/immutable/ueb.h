// SPDX-License-Identifier: Apache-2.0
#pragma once

// The URI extension block (spec/immutable 8): what a cap's UEB hash vouches for. It binds the roots
// of the hash trees; k, n and the size are the cap's, whatever is written here.

#include "grid/base/bytes.h"
#include "grid/crypto/hash.h"
#include "grid/immutable/geometry.h"

namespace lafs::grid {

// Legitimate ones have 305 to about 400 bytes.
constexpr std::uint64_t max_ueb_length = 64 << 10;

struct Ueb {
  // What a reader needs.
  std::uint64_t segment_size = 0;
  Hash32 ciphertext_root{};
  Hash32 share_root{};
  // What a verifier compares when it is there.
  std::optional<Bytes> ciphertext_hash;  // flat, over the whole ciphertext; any length when parsed
  std::optional<std::string> codec_name;
  std::optional<std::string> codec_params;
  std::optional<std::string> tail_codec_params;
  std::optional<std::uint64_t> num_segments;
  std::optional<std::uint64_t> size;
  std::optional<std::uint64_t> k;
  std::optional<std::uint64_t> n;

  // With every entry that is published today.
  static Ueb of(const Geometry& geometry, const Hash32& ciphertext_hash,
                const Hash32& ciphertext_root, const Hash32& share_root);
  // Errc::corrupt for malformed input and when a required entry is missing. A later duplicate wins,
  // unknown keys are dropped.
  static Result<Ueb> parse(ByteView bytes);
  // Entries that are there, in ascending order of key.
  Bytes serialize() const;
  // The verifier's column of 8.3: Errc::corrupt when an optional entry contradicts `geometry`.
  Result<> check(const Geometry& geometry) const;

  bool operator==(const Ueb&) const = default;
};

Hash32 ueb_hash(ByteView serialized);

// The length of a complete UEB, known before anything is encoded.
std::uint64_t ueb_length(const Geometry& geometry);

}  // namespace lafs::grid
