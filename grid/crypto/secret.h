// SPDX-License-Identifier: Apache-2.0
#pragma once

// A secret of N bytes: wiped when it goes away, compared in constant time, never printed by
// accident (it has no stream operator and no ordering).

#include <openssl/crypto.h>

#include <array>

#include "grid/base/bytes.h"

namespace lafs::grid {

template <std::size_t N>
class Secret {
 public:
  static constexpr std::size_t size = N;

  Secret() = default;
  explicit Secret(const std::array<std::uint8_t, N>& bytes) : bytes_(bytes) {}
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret() { OPENSSL_cleanse(bytes_.data(), N); }

  // Nothing when `bytes` is not exactly N long.
  static std::optional<Secret> from(ByteView bytes) {
    if (bytes.size() != N) return std::nullopt;
    Secret out;
    std::copy(bytes.begin(), bytes.end(), out.bytes_.begin());
    return out;
  }

  ByteView view() const { return bytes_; }
  const std::uint8_t* data() const { return bytes_.data(); }
  std::uint8_t* data() { return bytes_.data(); }

  bool operator==(const Secret& other) const {
    return CRYPTO_memcmp(bytes_.data(), other.bytes_.data(), N) == 0;
  }

 private:
  std::array<std::uint8_t, N> bytes_{};
};

using Key16 = Secret<16>;     // an AES-128 key, write key or read key
using Secret32 = Secret<32>;  // lease secrets, write enablers, node secrets

// Constant time in the contents; the lengths are not secret.
inline bool equal_secret(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace lafs::grid
