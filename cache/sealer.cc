// SPDX-License-Identifier: Apache-2.0
#include "cache/sealer.h"

#include <openssl/evp.h>

#include "grid/crypto/random.h"

namespace lafs::cache {

namespace {

EVP_CIPHER_CTX* context_of(void* p) { return static_cast<EVP_CIPHER_CTX*>(p); }

}  // namespace

Sealer::Sealer(const grid::Key16& key)
    : encrypt_(EVP_CIPHER_CTX_new()), decrypt_(EVP_CIPHER_CTX_new()) {
  EVP_EncryptInit_ex(context_of(encrypt_), EVP_aes_128_gcm(), nullptr, key.data(), nullptr);
  EVP_DecryptInit_ex(context_of(decrypt_), EVP_aes_128_gcm(), nullptr, key.data(), nullptr);
}

Sealer::~Sealer() {
  EVP_CIPHER_CTX_free(context_of(encrypt_));
  EVP_CIPHER_CTX_free(context_of(decrypt_));
}

void Sealer::seal(const Nonce& nonce, ByteView context, ByteView plain, std::uint8_t* out) {
  auto* c = context_of(encrypt_);
  int n = 0;
  EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, nonce.data());
  if (!context.empty())
    EVP_EncryptUpdate(c, nullptr, &n, context.data(), static_cast<int>(context.size()));
  if (!plain.empty()) EVP_EncryptUpdate(c, out, &n, plain.data(), static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(c, out + plain.size(), &n);
  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, tag_size, out + plain.size());
}

bool Sealer::open(const Nonce& nonce, ByteView context, ByteView sealed, std::uint8_t* out) {
  if (sealed.size() < tag_size) return false;
  auto* c = context_of(decrypt_);
  const auto body = sealed.first(sealed.size() - tag_size);
  std::array<std::uint8_t, tag_size> tag;
  std::copy_n(sealed.end() - tag_size, tag_size, tag.begin());
  int n = 0;
  EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, nonce.data());
  if (!context.empty())
    EVP_DecryptUpdate(c, nullptr, &n, context.data(), static_cast<int>(context.size()));
  if (!body.empty()) EVP_DecryptUpdate(c, out, &n, body.data(), static_cast<int>(body.size()));
  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, tag_size, tag.data());
  std::uint8_t nothing[16];
  return EVP_DecryptFinal_ex(c, nothing, &n) == 1;
}

Bytes Sealer::seal_with_nonce(ByteView context, ByteView plain) {
  Bytes out(plain.size() + overhead);
  const auto nonce = grid::random_array<12>();
  std::ranges::copy(nonce, out.begin());
  seal(nonce, context, plain, out.data() + nonce.size());
  return out;
}

std::optional<Bytes> Sealer::open_with_nonce(ByteView context, ByteView sealed) {
  if (sealed.size() < overhead) return std::nullopt;
  Nonce nonce;
  std::copy_n(sealed.begin(), nonce.size(), nonce.begin());
  Bytes out(sealed.size() - overhead);
  if (!open(nonce, context, sealed.subspan(nonce.size()), out.data())) return std::nullopt;
  return out;
}

}  // namespace lafs::cache
