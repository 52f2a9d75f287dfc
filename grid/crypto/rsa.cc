// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/rsa.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <cstdlib>

#include "grid/crypto/evp_key.h"

namespace lafs::grid {
namespace {

constexpr int kModulusBits = 2048;
constexpr int kSaltLength = 32;
constexpr std::size_t kSignatureLength = kModulusBits / 8;
// Real keys take 292..294 and 1214..1219 bytes. The bounds keep a hostile share from handing us
// numbers that take long to compute with.
constexpr std::size_t kLargestSpki = 1024;
constexpr std::size_t kLargestPkcs8 = 2048;

using Pkcs8 = std::unique_ptr<PKCS8_PRIV_KEY_INFO, EvpFree<PKCS8_PRIV_KEY_INFO_free>>;

bool acceptable(const EvpKey& key) {
  return key && EVP_PKEY_is_a(key.get(), "RSA") == 1 &&
         EVP_PKEY_get_bits(key.get()) == kModulusBits;
}

// OpenSSL's `i2d` functions: asked for the length first, then for the bytes.
template <class F>
Bytes der_of(F i2d) {
  const int length = i2d(nullptr);
  if (length <= 0) std::abort();  // encoding a key we hold cannot fail
  Bytes out(static_cast<std::size_t>(length));
  std::uint8_t* p = out.data();
  i2d(&p);
  return out;
}

Bytes spki_of(const EvpKey& key) {
  return der_of([&](std::uint8_t** out) { return i2d_PUBKEY(key.get(), out); });
}

bool use_pss(EVP_PKEY_CTX* context) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, kSaltLength) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, "SHA256", nullptr) == 1;
}

}  // namespace

// One state serves a private key's public half too: OpenSSL's handle holds both.
struct RsaPublicKey::State {
  EvpKey key;
  Bytes spki;
};

struct RsaPrivateKey::State {
  std::shared_ptr<const RsaPublicKey::State> both;
  Bytes pkcs8;
  ~State() { OPENSSL_cleanse(pkcs8.data(), pkcs8.size()); }
};

Result<RsaPublicKey> RsaPublicKey::from_spki(ByteView der) {
  if (der.size() > kLargestSpki) return fail(Errc::corrupt, "public key: too long");
  const std::uint8_t* p = der.data();
  EvpKey key(d2i_PUBKEY(nullptr, &p, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!acceptable(key) || p != der.data() + der.size())
    return fail(Errc::corrupt, "public key: not a 2048-bit RSA key in DER SubjectPublicKeyInfo");
  return RsaPublicKey(std::make_shared<const State>(State{std::move(key), to_bytes(der)}));
}

const Bytes& RsaPublicKey::spki() const { return state_->spki; }

bool RsaPublicKey::verify(ByteView message, ByteView signature) const {
  if (signature.size() != kSignatureLength) return false;
  EvpDigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by `context`
  const bool good = context &&
                    EVP_DigestVerifyInit_ex(context.get(), &parameters, "SHA256", nullptr, nullptr,
                                            state_->key.get(), nullptr) == 1 &&
                    use_pss(parameters) &&
                    EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                                     message.data(), message.size()) == 1;
  ERR_clear_error();
  return good;
}

RsaPrivateKey RsaPrivateKey::generate() {
  EvpKey key(EVP_RSA_gen(kModulusBits));
  if (!key) std::abort();
  Pkcs8 info(EVP_PKEY2PKCS8(key.get()));
  if (!info) std::abort();
  Bytes pkcs8 =
      der_of([&](std::uint8_t** out) { return i2d_PKCS8_PRIV_KEY_INFO(info.get(), out); });
  Bytes spki = spki_of(key);
  auto both = std::make_shared<const RsaPublicKey::State>(
      RsaPublicKey::State{std::move(key), std::move(spki)});
  return RsaPrivateKey(std::make_shared<const State>(std::move(both), std::move(pkcs8)));
}

Result<RsaPrivateKey> RsaPrivateKey::from_pkcs8(ByteView der) {
  if (der.size() > kLargestPkcs8) return fail(Errc::corrupt, "private key: too long");
  const std::uint8_t* p = der.data();
  Pkcs8 info(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &p, static_cast<long>(der.size())));
  EvpKey key(info ? EVP_PKCS82PKEY(info.get()) : nullptr);
  ERR_clear_error();
  if (!acceptable(key) || p != der.data() + der.size())
    return fail(Errc::corrupt, "private key: not a 2048-bit RSA key in DER PKCS#8");
  Bytes spki = spki_of(key);
  auto both = std::make_shared<const RsaPublicKey::State>(
      RsaPublicKey::State{std::move(key), std::move(spki)});
  return RsaPrivateKey(std::make_shared<const State>(std::move(both), to_bytes(der)));
}

const Bytes& RsaPrivateKey::pkcs8() const { return state_->pkcs8; }

RsaPublicKey RsaPrivateKey::public_key() const { return RsaPublicKey(state_->both); }

Bytes RsaPrivateKey::sign(ByteView message) const {
  Bytes signature(kSignatureLength);
  std::size_t length = signature.size();
  EvpDigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by `context`
  const bool good = context &&
                    EVP_DigestSignInit_ex(context.get(), &parameters, "SHA256", nullptr, nullptr,
                                          state_->both->key.get(), nullptr) == 1 &&
                    use_pss(parameters) &&
                    EVP_DigestSign(context.get(), signature.data(), &length, message.data(),
                                   message.size()) == 1 &&
                    length == kSignatureLength;
  ERR_clear_error();
  if (!good) signature.clear();
  return signature;
}

}  // namespace lafs::grid
