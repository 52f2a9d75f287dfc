// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/aes_ctr.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <utility>

namespace lafs::grid {
namespace {

constexpr std::size_t kBlock = 16;
// OpenSSL counts in int.
constexpr std::size_t kLargestStep = std::size_t{1} << 30;

const EVP_CIPHER* cipher() {
  static const EVP_CIPHER* fetched = EVP_CIPHER_fetch(nullptr, "AES-128-CTR", nullptr);
  if (!fetched) std::abort();
  return fetched;
}

void must(int ok) {
  if (ok != 1) std::abort();
}

EVP_CIPHER_CTX* ctx(void* context) { return static_cast<EVP_CIPHER_CTX*>(context); }

// The counter block of the block number `block`: 128 bits, of which we never need the upper 64.
std::array<std::uint8_t, kBlock> counter(std::uint64_t block) {
  std::array<std::uint8_t, kBlock> out{};
  put_be<std::uint64_t>(out.data() + 8, block);
  return out;
}

}  // namespace

AesCtr::AesCtr(const Key16& key, std::uint64_t offset) : context_(EVP_CIPHER_CTX_new()) {
  if (!context_) std::abort();
  must(EVP_EncryptInit_ex2(ctx(context_), cipher(), key.data(), counter(0).data(), nullptr));
  if (offset != 0) seek(offset);
}

AesCtr::~AesCtr() { EVP_CIPHER_CTX_free(ctx(context_)); }

AesCtr::AesCtr(AesCtr&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}

AesCtr& AesCtr::operator=(AesCtr&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}

void AesCtr::process(ByteView in, MutableBytes out) {
  for (std::size_t done = 0; done < in.size();) {
    const std::size_t step = std::min(kLargestStep, in.size() - done);
    int written = 0;
    must(EVP_EncryptUpdate(ctx(context_), out.data() + done, &written, in.data() + done,
                           static_cast<int>(step)));
    done += step;
  }
}

void AesCtr::seek(std::uint64_t offset) {
  must(EVP_EncryptInit_ex2(ctx(context_), nullptr, nullptr, counter(offset / kBlock).data(),
                           nullptr));
  std::array<std::uint8_t, kBlock> skipped{};
  process(MutableBytes(skipped).first(offset % kBlock));
}

Bytes aes_ctr(const Key16& key, ByteView data) {
  Bytes out(data.size());
  AesCtr(key).process(data, out);
  return out;
}

}  // namespace lafs::grid
