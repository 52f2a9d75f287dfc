// SPDX-License-Identifier: Apache-2.0
#pragma once

// Hashes: SHA-256, Tahoe's tagged double SHA-256 (spec/immutable 1.4), SHA-1 for the permuted
// server order and tub ids, BLAKE2b-256 for lease secrets at rest.

#include <memory>

#include "grid/base/bytes.h"

namespace lafs::grid {

using Hash32 = std::array<std::uint8_t, 32>;
using Hash20 = std::array<std::uint8_t, 20>;

// Incremental SHA-256. finish() leaves the object ready for a new message.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(ByteView data);
  Hash32 finish();

 private:
  friend class TaggedHasher;
  void* context_;  // EVP_MD_CTX
};

Hash32 sha256(ByteView data);
Hash32 sha256d(ByteView data);
Hash20 sha1(ByteView data);
Hash20 sha1(ByteView a, ByteView b);  // of a || b
Hash32 blake2b_256(ByteView data);

// TH(tag, value) = SHA256d(ns(tag) || value). The state after the tag is kept, so reset() and
// finish() cost nothing extra for many small messages with one tag.
class TaggedHasher {
 public:
  explicit TaggedHasher(ByteView tag);
  explicit TaggedHasher(std::string_view tag) : TaggedHasher(as_bytes(tag)) {}

  void update(ByteView data) { running_.update(data); }
  Hash32 finish();  // and starts the next message
  Hash32 hash(ByteView value) {
    update(value);
    return finish();
  }

 private:
  Sha256 after_tag_;
  Sha256 running_;
};

Hash32 tagged_hash(ByteView tag, ByteView value);
inline Hash32 tagged_hash(std::string_view tag, ByteView value) {
  return tagged_hash(as_bytes(tag), value);
}
// TPH(tag, a, b) = SHA256d(ns(tag) || ns(a) || ns(b)).
Hash32 tagged_pair_hash(std::string_view tag, ByteView a, ByteView b);

// The first N bytes of a hash.
template <std::size_t N>
std::array<std::uint8_t, N> truncate(const Hash32& hash) {
  static_assert(N <= 32);
  std::array<std::uint8_t, N> out;
  std::copy_n(hash.begin(), N, out.begin());
  return out;
}

}  // namespace lafs::grid
