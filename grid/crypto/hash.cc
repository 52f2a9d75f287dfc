// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/hash.h"

#include <openssl/evp.h>
#include <sodium/crypto_generichash_blake2b.h>

#include <cstdlib>
#include <utility>

#include "grid/base/netstring.h"

namespace lafs::grid {
namespace {

// Looking an algorithm up by name takes locks and costs more than a small hash: once is enough.
const EVP_MD* algorithm(const char* name) {
  const EVP_MD* md = EVP_MD_fetch(nullptr, name, nullptr);
  if (!md) std::abort();  // OpenSSL without SHA: nothing here can work
  return md;
}
const EVP_MD* sha256_algorithm() {
  static const EVP_MD* md = algorithm("SHA256");
  return md;
}
const EVP_MD* sha1_algorithm() {
  static const EVP_MD* md = algorithm("SHA1");
  return md;
}

// Failure here can only be exhausted memory or a broken OpenSSL.
void must(int ok) {
  if (ok != 1) std::abort();
}

EVP_MD_CTX* md(void* context) { return static_cast<EVP_MD_CTX*>(context); }

// A context of this thread for one-shot hashes; never held across a call that could come back here.
Sha256& scratch() {
  thread_local Sha256 hasher;
  return hasher;
}

Hash32 twice(const Hash32& once) { return sha256(once); }

Bytes tag_prefix(ByteView tag) { return netstring(tag); }

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_) std::abort();
  must(EVP_DigestInit_ex2(md(context_), sha256_algorithm(), nullptr));
}

Sha256::~Sha256() { EVP_MD_CTX_free(md(context_)); }

Sha256::Sha256(Sha256&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}

Sha256& Sha256::operator=(Sha256&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}

void Sha256::update(ByteView data) {
  must(EVP_DigestUpdate(md(context_), data.data(), data.size()));
}

Hash32 Sha256::finish() {
  Hash32 out;
  must(EVP_DigestFinal_ex(md(context_), out.data(), nullptr));
  must(EVP_DigestInit_ex2(md(context_), nullptr, nullptr));
  return out;
}

Hash32 sha256(ByteView data) {
  Sha256& hasher = scratch();
  hasher.update(data);
  return hasher.finish();
}

Hash32 sha256d(ByteView data) { return twice(sha256(data)); }

Hash20 sha1(ByteView data) { return sha1(data, {}); }

Hash20 sha1(ByteView a, ByteView b) {
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Hash20 out;
  must(EVP_DigestInit_ex2(context.get(), sha1_algorithm(), nullptr));
  must(EVP_DigestUpdate(context.get(), a.data(), a.size()));
  must(EVP_DigestUpdate(context.get(), b.data(), b.size()));
  must(EVP_DigestFinal_ex(context.get(), out.data(), nullptr));
  return out;
}

Hash32 blake2b_256(ByteView data) {
  // OpenSSL 3.0 has only the 512-bit form, whose cut-off is a different hash.
  Hash32 out;
  crypto_generichash_blake2b(out.data(), out.size(), data.data(), data.size(), nullptr, 0);
  return out;
}

TaggedHasher::TaggedHasher(ByteView tag) {
  after_tag_.update(tag_prefix(tag));
  must(EVP_MD_CTX_copy_ex(md(running_.context_), md(after_tag_.context_)));
}

Hash32 TaggedHasher::finish() {
  Hash32 inner;
  must(EVP_DigestFinal_ex(md(running_.context_), inner.data(), nullptr));
  must(EVP_MD_CTX_copy_ex(md(running_.context_), md(after_tag_.context_)));
  return twice(inner);
}

Hash32 tagged_hash(ByteView tag, ByteView value) {
  Sha256& hasher = scratch();
  hasher.update(tag_prefix(tag));
  hasher.update(value);
  return twice(hasher.finish());
}

Hash32 tagged_pair_hash(std::string_view tag, ByteView a, ByteView b) {
  Bytes message = tag_prefix(as_bytes(tag));
  append_netstring(message, a);
  append_netstring(message, b);
  return sha256d(message);
}

}  // namespace lafs::grid
