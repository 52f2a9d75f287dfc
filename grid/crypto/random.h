// SPDX-License-Identifier: Apache-2.0
#pragma once

// Cryptographically strong randomness from OpenSSL. Aborts the process when there is none.

#include "grid/crypto/secret.h"

namespace lafs::grid {

void random_fill(MutableBytes out);
Bytes random_bytes(std::size_t n);

template <std::size_t N>
std::array<std::uint8_t, N> random_array() {
  std::array<std::uint8_t, N> out;
  random_fill(out);
  return out;
}
template <std::size_t N>
Secret<N> random_secret() {
  Secret<N> out;
  random_fill({out.data(), N});
  return out;
}

}  // namespace lafs::grid
