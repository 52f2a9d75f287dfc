// SPDX-License-Identifier: Apache-2.0
#pragma once

// The digests that people compare files by. Not what the grid is built on: that is hash.h.

#include <optional>
#include <string_view>

#include "grid/base/bytes.h"

namespace lafs::grid {

// Incremental. finish() leaves the object ready for a new message.
class Digest {
 public:
  // "md5", "sha1", "sha224", "sha256", "sha384", "sha512"; nothing for another name.
  static std::optional<Digest> named(std::string_view name);
  ~Digest();
  Digest(Digest&& other) noexcept;
  Digest& operator=(Digest&&) = delete;

  void update(ByteView data);
  Bytes finish();

 private:
  Digest(const void* kind);

  const void* kind_;  // EVP_MD
  void* context_;     // EVP_MD_CTX
};

}  // namespace lafs::grid
