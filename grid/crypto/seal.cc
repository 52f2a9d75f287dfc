// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/seal.h"

#include <sodium/crypto_aead_xchacha20poly1305.h>

#include "grid/crypto/random.h"

namespace lafs::grid {

namespace {
constexpr std::size_t nonce_size = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t tag_size = crypto_aead_xchacha20poly1305_ietf_ABYTES;
}  // namespace

Bytes seal(const Secret32& key, std::string_view context, ByteView plaintext) {
  Bytes out(nonce_size + plaintext.size() + tag_size);
  random_fill(MutableBytes(out).first(nonce_size));
  const auto about = as_bytes(context);
  crypto_aead_xchacha20poly1305_ietf_encrypt(out.data() + nonce_size, nullptr, plaintext.data(),
                                             plaintext.size(), about.data(), about.size(), nullptr,
                                             out.data(), key.data());
  return out;
}

std::optional<Bytes> unseal(const Secret32& key, std::string_view context, ByteView sealed) {
  if (sealed.size() < nonce_size + tag_size) return std::nullopt;
  Bytes out(sealed.size() - nonce_size - tag_size);
  const auto about = as_bytes(context);
  const auto body = sealed.subspan(nonce_size);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, body.data(),
                                                 body.size(), about.data(), about.size(),
                                                 sealed.data(), key.data()) != 0) {
    return std::nullopt;
  }
  return out;
}

}  // namespace lafs::grid
