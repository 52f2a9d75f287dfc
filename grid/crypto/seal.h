// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bytes that only who has the key can read or change: XChaCha20-Poly1305 with a random nonce.
//
//   sealed := nonce 24, ciphertext, tag 16

#include <optional>

#include "grid/crypto/secret.h"

namespace lafs::grid {

// `context` is not stored but has to be the same again: what the bytes are, and whose.
Bytes seal(const Secret32& key, std::string_view context, ByteView plaintext);
// Nothing when it was not sealed with this key and context, or has changed since.
std::optional<Bytes> unseal(const Secret32& key, std::string_view context, ByteView sealed);

}  // namespace lafs::grid
