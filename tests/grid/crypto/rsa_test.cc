// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/rsa.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <catch2/catch.hpp>
#include <map>

#include "grid/base/base32.h"
#include "grid/crypto/evp_key.h"
#include "grid/crypto/hash.h"

using namespace lafs;
using namespace lafs::grid;

namespace {

// spec/mutable 1.7, worked example B.
constexpr std::string_view kExampleKey =
    "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCH2jdLMO4zpl6fD/"
    "vuJhK4H6INXrzB+JDQFgqtxz+q+c6p"
    "fpwqmtDq9x1QyMKB/oL+N/u7ZUwWfGK4EdUOue536QsetIFEryum7VijRms6czCuH966VOCCwgf/"
    "TUt+y+aij45IKbouR3Z8"
    "PwICrhkczyM1KdzK/+dpnhhGXCpz20o+4sDMIaySQfGIqQd4eLCGbykK7YiDc8xqg0kXxTg3w0f/"
    "MaqkwNCwiZIn33uiDO2i"
    "Pg035iIcztUgzc4Mk5iLpbd0xsIY4ouNR3CVXM1NTFK2KW+"
    "yuvvZr9CzlmQMQQ8t516G244XikYI9frofjLYKz7ChrBTCo/P"
    "FCpwOBo9AgMBAAECggEAMQ9B1pqF+wsCsqiAD0GakvmBeRiUS+"
    "wqx6qeEqGYwXLTCeyaEtyzw5aX9Jt7epxhy9KFyufK8Xfb"
    "4qM18Mp+brku9dizsg0cU3z0/"
    "ImqoYIFu2vw8BNEvJO7dZwBPnn+AQicljzTanEOPdI3NKaQlRHMoh9LB9ggRsj79TTFc+7f"
    "j58Yt54hKgD5uDz8/Gx0ZbosM8kBGQsHUwLQ0KBg/"
    "DNmYaZCrWK5vUudg7d6QHIBSfJrCrd95HEZ+xGhwiT9BFom2AGjU6UH"
    "Wb2PHlJlu7ADXXb8/CAcL3hs3/"
    "ohGZywrCXev+sPhS6UIDNO353ia7idsW7Jh11Aden3DHBBdQKBgQC71x+lq3yjcjeCcYTM"
    "Hh4fg0kc7TALqxTqG2xZ9xtEAPCKuUGcZ+AqddOMzocSkOBIFgJu+eJ+hUQXIxh8VXYivX+"
    "KoMupOKOgbuwfUxgx7SqNHn35"
    "LUikWij3DxgrtEhTNYyQ+7cHh3CFbtFuZPq8mG8cir6HBujpJy9mMW1fbwKBgQC5JdOx+F1gheaMBdwJ1xk8N8QUrvl0/"
    "eG6"
    "8kUBJ4I/"
    "9+iomhMDBlBBVJo8Fsd3YOQcyAUtdFzTzYzQfGBo2tAmsBkunHFEPLxnUalZ2UDf40xuupJUr2zojie8GQANfY/l"
    "LwcKAu3tw0uSKw+V0SMbHH5YCqCosgcQuRv5xePLEwKBgQCCBKa4Mtoj/GQl21OTQemR4HrUFe1itjnUzcSTBTMPQCM/"
    "snmS"
    "vGfym/ohhbcDB9rmqq1miXrYHoCCD13cef86jrZgi2pNKJJB82VnTUn7DPGeGpQRzOFyOaIPWJhfb/"
    "t79R3mIQWQpZQiGBHI"
    "+wZ/UnfeZr74kbTX5bKuZtoQ6wKBgHewCl/cTJDfPqB6ETqTQI77BdjRHBYTIV92ykDqx3qOympj37Ju3Ga/"
    "SE1b9Gopyo0I"
    "iMBPnsqU8Fi+"
    "bpyaB0FbSYwmOdqA4NJxqeaZWSTijUBvf7UbCm5zpyAjkTMnXmQruIMyTZkMTMga6iJRZj5adxp3FFC5dXPM"
    "FlerI4zdAoGBAKIg/Cza8moWp2O6XrNShnUy2xGh2iZ82+LhpoIZCokUkmoLxKWfpocnzRPL/"
    "enpIAaI4VxBdBSiyFQsKBsG"
    "lZcYU//04RbZSSgYfGwxDkOm1xp33B8NkEV97XUybDMfOwEk7iRcKFuFx0KP1wSHzMt9MMyApDLL/RUuJHyWlALf";

Bytes example_pkcs8() {
  auto der = from_base64(kExampleKey);
  REQUIRE(der);
  return *der;
}

// A key outside of what we make ourselves, as PKCS#8.
Bytes foreign_pkcs8(unsigned bits, unsigned long exponent, const char* algorithm = "RSA") {
  std::unique_ptr<EVP_PKEY_CTX, EvpFree<EVP_PKEY_CTX_free>> context(
      EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr));
  std::unique_ptr<BIGNUM, EvpFree<BN_free>> e(BN_new());
  BN_set_word(e.get(), exponent);
  EVP_PKEY* raw = nullptr;
  REQUIRE(EVP_PKEY_keygen_init(context.get()) == 1);
  REQUIRE(EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), static_cast<int>(bits)) == 1);
  REQUIRE(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), e.get()) == 1);
  REQUIRE(EVP_PKEY_generate(context.get(), &raw) == 1);
  EvpKey key(raw);
  std::unique_ptr<PKCS8_PRIV_KEY_INFO, EvpFree<PKCS8_PRIV_KEY_INFO_free>> info(
      EVP_PKEY2PKCS8(key.get()));
  Bytes out(static_cast<std::size_t>(i2d_PKCS8_PRIV_KEY_INFO(info.get(), nullptr)));
  std::uint8_t* p = out.data();
  i2d_PKCS8_PRIV_KEY_INFO(info.get(), &p);
  return out;
}

}  // namespace

TEST_CASE("a private key keeps its exact bytes and gives the specification's public key") {
  const Bytes der = example_pkcs8();
  REQUIRE(to_hex(sha256(der)) ==
          "987437431f9b2e889008fab4b28f418859529c899eaa5592b316f9d4cd536d24");
  const auto key = RsaPrivateKey::from_pkcs8(der);
  REQUIRE(key);
  CHECK(key->pkcs8() == der);
  CHECK(to_hex(sha256(key->public_key().spki())) ==
        "dfee993734565de5d3e5649ec058a818db46006a6780bae7e02bae682421ff1c");
}

TEST_CASE("a signature is verified by the public key that was read back") {
  const auto key = RsaPrivateKey::from_pkcs8(example_pkcs8());
  REQUIRE(key);
  const auto reader = RsaPublicKey::from_spki(key->public_key().spki());
  REQUIRE(reader);
  CHECK(reader->spki() == key->public_key().spki());
  const Bytes message = to_bytes("signed prefix");
  const Bytes signature = key->sign(message);
  CHECK(signature.size() == 256);
  CHECK(signature != key->sign(message));  // salted
  CHECK(reader->verify(message, signature));
  CHECK(key->public_key().verify(message, signature));
  CHECK_FALSE(reader->verify(to_bytes("signed prefiX"), signature));
  CHECK_FALSE(reader->verify(message, ByteView(signature).first(255)));
  CHECK_FALSE(reader->verify(message, {}));
  CHECK_FALSE(reader->verify(message, Bytes(256, 0xff)));
  Bytes flipped = signature;
  flipped[100] ^= 4;
  CHECK_FALSE(reader->verify(message, flipped));
}

TEST_CASE("a signature with another salt length than 32 is refused") {
  const Bytes der = example_pkcs8();
  const std::uint8_t* p = der.data();
  std::unique_ptr<PKCS8_PRIV_KEY_INFO, EvpFree<PKCS8_PRIV_KEY_INFO_free>> info(
      d2i_PKCS8_PRIV_KEY_INFO(nullptr, &p, static_cast<long>(der.size())));
  const EvpKey key(EVP_PKCS82PKEY(info.get()));
  const auto reader = RsaPrivateKey::from_pkcs8(der)->public_key();
  const Bytes message = to_bytes("message");
  for (const auto& [salt, good] : std::map<int, bool>{{20, false}, {32, true}, {222, false}}) {
    EvpDigestContext context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* parameters = nullptr;
    REQUIRE(EVP_DigestSignInit(context.get(), &parameters, EVP_sha256(), nullptr, key.get()) == 1);
    REQUIRE(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1);
    REQUIRE(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt) == 1);
    Bytes signature(256);
    std::size_t length = signature.size();
    REQUIRE(EVP_DigestSign(context.get(), signature.data(), &length, message.data(),
                           message.size()) == 1);
    CHECK(reader.verify(message, signature) == good);
  }
}

TEST_CASE("a generated key is a 2048-bit key with exponent 65537 that survives its own encoding") {
  const auto key = RsaPrivateKey::generate();
  CHECK(key.public_key().spki().size() == 294);
  CHECK(to_hex(ByteView(key.public_key().spki()).first(33)) ==
        "30820122300d06092a864886f70d01010105000382010f003082010a0282010100");
  const auto again = RsaPrivateKey::from_pkcs8(key.pkcs8());
  REQUIRE(again);
  CHECK(again->public_key().spki() == key.public_key().spki());
  CHECK(key.public_key().verify(to_bytes("m"), again->sign(to_bytes("m"))));
}

TEST_CASE("an old key with public exponent 17 works") {
  const auto key = RsaPrivateKey::from_pkcs8(foreign_pkcs8(2048, 17));
  REQUIRE(key);
  CHECK(key->public_key().spki().size() == 292);
  const auto reader = RsaPublicKey::from_spki(key->public_key().spki());
  REQUIRE(reader);
  CHECK(reader->verify(to_bytes("m"), key->sign(to_bytes("m"))));
}

TEST_CASE("keys of another size or kind are refused") {
  CHECK(RsaPrivateKey::from_pkcs8(foreign_pkcs8(1024, 65537)).error().code == Errc::corrupt);
  CHECK_FALSE(RsaPrivateKey::from_pkcs8(foreign_pkcs8(2048, 65537, "RSA-PSS")));
  CHECK_FALSE(RsaPrivateKey::from_pkcs8(foreign_pkcs8(2056, 65537)));
}

TEST_CASE("damaged key bytes are refused or at least never crash") {
  const Bytes der = example_pkcs8();
  const Bytes spki = RsaPrivateKey::from_pkcs8(der)->public_key().spki();
  for (std::size_t n = 0; n < spki.size(); ++n)
    CHECK_FALSE(RsaPublicKey::from_spki(ByteView(spki).first(n)));
  for (std::size_t n = 0; n < der.size(); n += 13)
    CHECK_FALSE(RsaPrivateKey::from_pkcs8(ByteView(der).first(n)));
  for (const Bytes& whole : {der, spki}) {
    Bytes longer = whole;
    longer.push_back(0);
    CHECK_FALSE(RsaPublicKey::from_spki(longer));
    CHECK_FALSE(RsaPrivateKey::from_pkcs8(longer));
  }
  CHECK_FALSE(RsaPublicKey::from_spki(Bytes(100'000)));
  CHECK_FALSE(RsaPrivateKey::from_pkcs8(Bytes(100'000)));
  const Bytes message = to_bytes("m");
  for (std::size_t i = 0; i < der.size(); i += 97) {
    Bytes flipped = der;
    flipped[i] ^= 0x10;
    if (const auto key = RsaPrivateKey::from_pkcs8(flipped)) {
      const Bytes signature = key->sign(message);
      CHECK((signature.empty() || signature.size() == 256));
    }
  }
}
