// SPDX-License-Identifier: Apache-2.0
#pragma once

// A file's content in memory, with holes: what was never written costs nothing and reads as zeros.
// Invariant: no stored byte lies at or after size(), so that growing again shows zeros.

#include <cstdint>
#include <map>
#include <optional>

#include "grid/base/bytes.h"

namespace lafs::fs {

class SparseBytes {
 public:
  std::uint64_t size() const { return size_; }
  std::uint64_t stored() const { return stored_; }  // bytes of memory in use

  // How much stored() would grow by a write. Pieces of 64 KiB are stored from their beginning.
  std::uint64_t growth(std::uint64_t offset, std::uint64_t length) const;

  // What is there of `offset`..`offset+length`.
  Bytes read(std::uint64_t offset, std::uint64_t length) const;
  // `offset + data.size()` must not overflow. Grows the content when it ends later.
  void write(std::uint64_t offset, ByteView data);
  void resize(std::uint64_t size);
  // Reads as zeros from now on; the size stays. `end` is at most size().
  void zero(std::uint64_t begin, std::uint64_t end);
  // Where data, or a hole (the end counts), begins at or after `offset`; nothing past the end.
  std::optional<std::uint64_t> next_data(std::uint64_t offset) const;
  std::optional<std::uint64_t> next_hole(std::uint64_t offset) const;

 private:
  static constexpr std::uint64_t chunk_size = 64 * 1024;

  std::map<std::uint64_t, Bytes> chunks_;  // by chunk number; may be shorter than a chunk
  std::uint64_t size_ = 0;
  std::uint64_t stored_ = 0;
};

}  // namespace lafs::fs
