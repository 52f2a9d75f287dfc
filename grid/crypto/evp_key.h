// SPDX-License-Identifier: Apache-2.0
#pragma once

// OpenSSL's key and context handles with their owners. Private to grid/crypto's .cc files.

#include <openssl/evp.h>

#include <memory>

namespace lafs::grid {

template <auto free>
struct EvpFree {
  template <class T>
  void operator()(T* p) const {
    free(p);
  }
};

using EvpKey = std::unique_ptr<EVP_PKEY, EvpFree<EVP_PKEY_free>>;
using EvpDigestContext = std::unique_ptr<EVP_MD_CTX, EvpFree<EVP_MD_CTX_free>>;

}  // namespace lafs::grid
