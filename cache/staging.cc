// SPDX-License-Identifier: Apache-2.0
#include "cache/staging.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "grid/crypto/random.h"

namespace lafs::cache {

namespace {

constexpr std::uint64_t sector_size = 4096;
// Encrypted and written in pieces of this size, so that the scratch buffer stays small.
constexpr std::uint64_t piece_size = 64 * sector_size;

Error disk_error(const char* what) {
  const int code = errno;
  const auto kind = code == ENOSPC || code == EDQUOT ? Errc::no_space : Errc::io;
  return {kind, std::string("staging file: ") + what + ": " + std::strerror(code)};
}

}  // namespace

// Each sector is one XTS data unit, its number the tweak.
struct StagedFile::Cipher {
  Cipher() : key(grid::random_secret<32>()) {
    EVP_EncryptInit_ex(encrypt, EVP_aes_128_xts(), nullptr, key.data(), nullptr);
    EVP_DecryptInit_ex(decrypt, EVP_aes_128_xts(), nullptr, key.data(), nullptr);
  }
  ~Cipher() {
    EVP_CIPHER_CTX_free(encrypt);
    EVP_CIPHER_CTX_free(decrypt);
  }
  void run(EVP_CIPHER_CTX* context, bool encrypting, std::uint64_t sector, std::uint8_t* data) {
    std::uint8_t tweak[16] = {};
    for (int i = 0; i < 8; ++i) tweak[i] = static_cast<std::uint8_t>(sector >> (8 * i));
    int n = 0;
    EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, tweak, encrypting);
    EVP_CipherUpdate(context, data, &n, data, sector_size);
  }

  grid::Secret<32> key;
  EVP_CIPHER_CTX* encrypt = EVP_CIPHER_CTX_new();
  EVP_CIPHER_CTX* decrypt = EVP_CIPHER_CTX_new();
};

Result<std::unique_ptr<StagedFile>> StagedFile::create(const std::string& directory,
                                                       std::uint64_t size) {
  int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) {  // a filesystem without O_TMPFILE
    auto name = directory + "/staging.XXXXXX";
    fd = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd >= 0) ::unlink(name.c_str());
  }
  if (fd < 0) {
    auto error = disk_error("create");
    error.context += " in " + directory;
    return std::unexpected(std::move(error));
  }
  return std::unique_ptr<StagedFile>(new StagedFile(fd, size));
}

StagedFile::StagedFile(int fd, std::uint64_t size)
    : fd_(fd), size_(size), inherited_size_(size), cipher_(std::make_unique<Cipher>()) {}

StagedFile::~StagedFile() { ::close(fd_); }

Result<> StagedFile::load_sector(std::uint64_t sector, std::uint8_t* out) const {
  std::memset(out, 0, sector_size);
  // A sector without local bytes was never written (or its bytes are void): nothing to decrypt.
  if (!local_.overlaps({sector * sector_size, (sector + 1) * sector_size})) return {};
  const auto got = ::pread(fd_, out, sector_size, static_cast<off_t>(sector * sector_size));
  if (got < 0) return std::unexpected(disk_error("read"));
  if (static_cast<std::uint64_t>(got) != sector_size)
    return fail(Errc::io, "staging file: cut short");
  cipher_->run(cipher_->decrypt, false, sector, out);
  return {};
}

Result<> StagedFile::store(std::uint64_t offset, ByteView data) {
  Bytes scratch;
  while (!data.empty()) {
    const auto first = offset / sector_size;
    const auto skip = offset % sector_size;
    const auto take = std::min<std::uint64_t>(data.size(), piece_size - skip);
    const auto sectors = ceil_div(skip + take, sector_size);
    scratch.resize(sectors * sector_size);
    // Only the edges can hold bytes that this write does not replace.
    const auto last = first + sectors - 1;
    if (skip != 0) TRY_DO(load_sector(first, scratch.data()));
    if ((skip + take) % sector_size != 0 && (last != first || skip == 0))
      TRY_DO(load_sector(last, scratch.data() + (sectors - 1) * sector_size));
    std::copy_n(data.begin(), take, scratch.begin() + static_cast<std::ptrdiff_t>(skip));
    for (std::uint64_t i = 0; i < sectors; ++i)
      cipher_->run(cipher_->encrypt, true, first + i, scratch.data() + i * sector_size);
    for (std::uint64_t done = 0; done < scratch.size();) {
      const auto n = ::pwrite(fd_, scratch.data() + done, scratch.size() - done,
                              static_cast<off_t>(first * sector_size + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return std::unexpected(disk_error("write"));
      done += static_cast<std::uint64_t>(n);
    }
    local_.add({offset, offset + take});
    offset += take;
    data = data.subspan(take);
  }
  return {};
}

Result<> StagedFile::write(std::uint64_t offset, ByteView data) {
  if (offset > INT64_MAX - data.size()) return fail(Errc::too_large, "staging file");
  if (data.empty()) return {};
  ++version_;
  TRY_DO(store(offset, data));
  size_ = std::max(size_, offset + data.size());
  return {};
}

Result<> StagedFile::fill(std::uint64_t offset, ByteView data) {
  const ByteRange all{offset, std::min(offset + data.size(), inherited_size_)};
  for (const auto& gap : local_.missing(all))
    TRY_DO(store(gap.begin, data.subspan(gap.begin - offset, gap.size())));
  return {};
}

void StagedFile::truncate(std::uint64_t size) {
  ++version_;
  inherited_size_ = std::min(inherited_size_, size);
  local_.remove({size, UINT64_MAX});
  size_ = size;
}

std::vector<ByteRange> StagedFile::missing(std::uint64_t offset, std::uint64_t length) const {
  const auto end = std::min(offset + length, inherited_size_);
  if (offset >= end) return {};
  return local_.missing({offset, end});
}

Result<> StagedFile::read(std::uint64_t offset, MutableBytes out) const {
  std::fill(out.begin(), out.end(), 0);
  std::uint8_t sector_bytes[sector_size];
  for (const auto& there : local_.present({offset, offset + out.size()})) {
    for (auto at = there.begin; at < there.end;) {
      const auto sector = at / sector_size;
      const auto skip = at % sector_size;
      const auto take = std::min(sector_size - skip, there.end - at);
      TRY_DO(load_sector(sector, sector_bytes));
      std::copy_n(sector_bytes + skip, take,
                  out.begin() + static_cast<std::ptrdiff_t>(at - offset));
      at += take;
    }
  }
  return {};
}

}  // namespace lafs::cache
