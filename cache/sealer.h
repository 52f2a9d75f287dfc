// SPDX-License-Identifier: Apache-2.0
#pragma once

// AES-128-GCM with one key: what the cache writes to the local disk cannot be read or changed there
// without it. A nonce must never seal two messages. Not thread-safe.

#include <array>

#include "grid/base/bytes.h"
#include "grid/crypto/secret.h"

namespace lafs::cache {

class Sealer {
 public:
  using Nonce = std::array<std::uint8_t, 12>;
  static constexpr std::size_t tag_size = 16;
  // What seal_with_nonce() adds.
  static constexpr std::size_t overhead = 12 + tag_size;

  explicit Sealer(const grid::Key16& key);
  ~Sealer();
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;

  // `out` has room for the plaintext and the tag after it; it may begin where `plain` does.
  // `context` is not stored, but must be the same to open it.
  void seal(const Nonce& nonce, ByteView context, ByteView plain, std::uint8_t* out);
  // `out` has sealed.size() - tag_size bytes. False when anything was changed; `out` is then void.
  [[nodiscard]] bool open(const Nonce& nonce, ByteView context, ByteView sealed, std::uint8_t* out);

  // nonce || ciphertext || tag, the nonce by chance.
  Bytes seal_with_nonce(ByteView context, ByteView plain);
  std::optional<Bytes> open_with_nonce(ByteView context, ByteView sealed);

 private:
  void* encrypt_;  // EVP_CIPHER_CTX
  void* decrypt_;
};

}  // namespace lafs::cache
