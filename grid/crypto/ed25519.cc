// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/ed25519.h"

#include <openssl/err.h>

#include <cstdlib>

#include "grid/crypto/evp_key.h"

namespace lafs::grid {
namespace {

EvpKey private_key(const Secret32& seed) {
  EvpKey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), Secret32::size));
  if (!key) std::abort();  // every 32 bytes are a key
  return key;
}

}  // namespace

Ed25519Public ed25519_public(const Secret32& seed) {
  const EvpKey key = private_key(seed);
  Ed25519Public out;
  std::size_t length = out.size();
  if (EVP_PKEY_get_raw_public_key(key.get(), out.data(), &length) != 1) std::abort();
  return out;
}

Ed25519Signature ed25519_sign(const Secret32& seed, ByteView message) {
  const EvpKey key = private_key(seed);
  EvpDigestContext context(EVP_MD_CTX_new());
  Ed25519Signature out;
  std::size_t length = out.size();
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), out.data(), &length, message.data(), message.size()) != 1)
    std::abort();
  return out;
}

bool ed25519_verify(const Ed25519Public& public_key, ByteView message, ByteView signature) {
  if (signature.size() != Ed25519Signature{}.size()) return false;
  const EvpKey key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  EvpDigestContext context(EVP_MD_CTX_new());
  const bool good =
      key && context &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                       message.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace lafs::grid
