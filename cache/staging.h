// SPDX-License-Identifier: Apache-2.0
#pragma once

// One file's content while it is being written: a sparse local file with the same offsets,
// encrypted in place (AES-128-XTS, 4 KiB sectors, a random key that lives only in memory). The file
// has no name on disk, so nothing of it is left behind by a crash, and nothing of it is readable at
// rest.
//
// Calls are inline: they touch the page cache, not the network. I/O thread only.

#include <cstdint>
#include <memory>
#include <string>

#include "grid/base/bytes.h"
#include "grid/base/ranges.h"
#include "grid/base/result.h"

namespace lafs::cache {

class StagedFile {
 public:
  // In `directory`, which exists. `size`: how long the content is taken to be; nothing of it is
  // local yet.
  static Result<std::unique_ptr<StagedFile>> create(const std::string& directory,
                                                    std::uint64_t size);
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  std::uint64_t size() const { return size_; }
  // Which bytes are here. The others come from the content that is being changed, up to
  // inherited_size(), and are zero after it.
  const RangeSet& local() const { return local_; }
  std::uint64_t inherited_size() const { return inherited_size_; }
  // Goes up with every change: tells an uploader whether what it sent is still the content.
  std::uint64_t version() const { return version_; }

  // Errc::no_space or Errc::io; what was there before is then still there.
  Result<> write(std::uint64_t offset, ByteView data);
  // A fetched part of the old content. Never overwrites what is local already.
  Result<> fill(std::uint64_t offset, ByteView data);
  // Shrinks or grows; the new part reads as zeros, also after shrinking before.
  void truncate(std::uint64_t size);
  // Every byte of the range is local or past inherited_size(); those read as zeros.
  Result<> read(std::uint64_t offset, MutableBytes out) const;
  // Parts of [offset, offset+length) that must be fetched from the old content before a read().
  std::vector<ByteRange> missing(std::uint64_t offset, std::uint64_t length) const;

 private:
  struct Cipher;
  StagedFile(int fd, std::uint64_t size);
  Result<> store(std::uint64_t offset, ByteView data);
  Result<> load_sector(std::uint64_t sector, std::uint8_t* out) const;

  int fd_;
  std::uint64_t size_;
  std::uint64_t inherited_size_;
  std::uint64_t version_ = 1;
  RangeSet local_;
  std::unique_ptr<Cipher> cipher_;
};

}  // namespace lafs::cache
