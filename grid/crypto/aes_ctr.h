// SPDX-License-Identifier: Apache-2.0
#pragma once

// AES-128 in CTR mode with a zero initial counter block and a 128-bit big-endian increment, one
// continuous keystream (spec/immutable 4.2). Encrypting and decrypting are the same operation.

#include "grid/crypto/secret.h"

namespace lafs::grid {

class AesCtr {
 public:
  // The next byte processed is the one at `offset` of the stream.
  explicit AesCtr(const Key16& key, std::uint64_t offset = 0);
  ~AesCtr();
  AesCtr(AesCtr&&) noexcept;
  AesCtr& operator=(AesCtr&&) noexcept;

  // `out` has at least in.size() bytes and may be the same memory as `in`.
  void process(ByteView in, MutableBytes out);
  void process(MutableBytes in_place) { process(in_place, in_place); }
  void seek(std::uint64_t offset);

 private:
  void* context_;  // EVP_CIPHER_CTX
};

// One message from the start of the stream.
Bytes aes_ctr(const Key16& key, ByteView data);

}  // namespace lafs::grid
