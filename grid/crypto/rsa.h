// SPDX-License-Identifier: Apache-2.0
#pragma once

// RSA-2048 with PSS (SHA-256, MGF1-SHA-256, salt of 32 bytes) as mutable files use it
// (spec/mutable 1.1, 1.2). Keys are values: cheap to copy, immutable.

#include <memory>

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs::grid {

class RsaPublicKey {
 public:
  // DER SubjectPublicKeyInfo. Errc::corrupt when it is not a 2048-bit RSA key; any exponent.
  static Result<RsaPublicKey> from_spki(ByteView der);
  const Bytes& spki() const;
  bool verify(ByteView message, ByteView signature) const;

 private:
  friend class RsaPrivateKey;
  struct State;
  explicit RsaPublicKey(std::shared_ptr<const State> s) : state_(std::move(s)) {}
  std::shared_ptr<const State> state_;
};

class RsaPrivateKey {
 public:
  // About 100 ms of CPU: call through offload().
  static RsaPrivateKey generate();
  // DER PKCS#8 PrivateKeyInfo. Errc::corrupt when it is not a 2048-bit RSA key.
  static Result<RsaPrivateKey> from_pkcs8(ByteView der);
  // The exact bytes given to from_pkcs8(), or the canonical encoding of a generated key: what the
  // write key is derived from.
  const Bytes& pkcs8() const;
  RsaPublicKey public_key() const;
  // 256 bytes; randomised. About 1 ms of CPU. Empty when the key's numbers contradict each other,
  // which from_pkcs8() does not look for.
  Bytes sign(ByteView message) const;

 private:
  struct State;
  explicit RsaPrivateKey(std::shared_ptr<const State> s) : state_(std::move(s)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace lafs::grid
