// SPDX-License-Identifier: Apache-2.0
#pragma once

// Plaintext of an immutable file: the segments of an ImmutableFile, decrypted where asked for.

#include "grid/immutable/immutable_file.h"

namespace lafs::grid {

class ChkReader {
 public:
  // The file is the caller's to close, after the last read has ended.
  ChkReader(std::shared_ptr<ImmutableFile> file, const Key16& key, Pool& pool)
      : file_(std::move(file)), key_(key), pool_(pool) {}

  std::uint64_t size() const { return file_->cap().size; }
  // Cut at the end of the file; nothing beyond it. Several segments are fetched at once.
  Task<Result<Bytes>> read(std::uint64_t offset, std::uint64_t length);

 private:
  // Fills `out`, which begins at `offset` of the file and `skip` bytes into the segment.
  Task<> copy_segment(SegmentNo segment, std::uint64_t offset, std::uint64_t skip, MutableBytes out,
                      Result<>& result);

  std::shared_ptr<ImmutableFile> file_;
  Key16 key_;
  Pool& pool_;
};

// Decrypts what begins at `offset` of the file; `out` is as long.
void decrypt_at(const Key16& key, std::uint64_t offset, ByteView ciphertext, MutableBytes out);

}  // namespace lafs::grid
