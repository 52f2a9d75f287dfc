// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ed25519 signatures: node identities and announcements (spec/storage 8.1).

#include "grid/crypto/secret.h"

namespace lafs::grid {

using Ed25519Public = std::array<std::uint8_t, 32>;
using Ed25519Signature = std::array<std::uint8_t, 64>;

Ed25519Public ed25519_public(const Secret32& seed);
Ed25519Signature ed25519_sign(const Secret32& seed, ByteView message);
bool ed25519_verify(const Ed25519Public& key, ByteView message, ByteView signature);

}  // namespace lafs::grid
