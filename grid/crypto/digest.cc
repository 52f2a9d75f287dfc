// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/digest.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <utility>

namespace lafs::grid {
namespace {

EVP_MD_CTX* context_of(void* context) { return static_cast<EVP_MD_CTX*>(context); }
const EVP_MD* kind_of(const void* kind) { return static_cast<const EVP_MD*>(kind); }

void start(void* context, const void* kind) {
  if (!context || EVP_DigestInit_ex(context_of(context), kind_of(kind), nullptr) != 1) std::abort();
}

}  // namespace

std::optional<Digest> Digest::named(std::string_view name) {
  if (name == "md5") return Digest(EVP_md5());
  if (name == "sha1") return Digest(EVP_sha1());
  if (name == "sha224") return Digest(EVP_sha224());
  if (name == "sha256") return Digest(EVP_sha256());
  if (name == "sha384") return Digest(EVP_sha384());
  if (name == "sha512") return Digest(EVP_sha512());
  return std::nullopt;
}

Digest::Digest(const void* kind) : kind_(kind), context_(EVP_MD_CTX_new()) {
  start(context_, kind_);
}

Digest::Digest(Digest&& other) noexcept
    : kind_(other.kind_), context_(std::exchange(other.context_, nullptr)) {}

Digest::~Digest() { EVP_MD_CTX_free(context_of(context_)); }

void Digest::update(ByteView data) {
  if (EVP_DigestUpdate(context_of(context_), data.data(), data.size()) != 1) std::abort();
}

Bytes Digest::finish() {
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned length = 0;
  if (EVP_DigestFinal_ex(context_of(context_), out.data(), &length) != 1) std::abort();
  out.resize(length);
  start(context_, kind_);
  return out;
}

}  // namespace lafs::grid
