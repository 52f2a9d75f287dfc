// SPDX-License-Identifier: Apache-2.0
#pragma once

// The digests of HASH and the X commands: those of grid/crypto/digest.h, and CRC-32.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "grid/crypto/digest.h"

namespace lafs::ftp {

class Checksum {
 public:
  // "crc32" or a name that Digest knows.
  explicit Checksum(std::string_view name);
  void update(ByteView data);
  std::string hex();

 private:
  std::optional<grid::Digest> digest_;
  std::uint32_t crc_ = ~std::uint32_t{0};
};

}  // namespace lafs::ftp
