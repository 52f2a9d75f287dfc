// SPDX-License-Identifier: Apache-2.0
#pragma once

// Encodes into shares in memory, for tests.

#include "grid/immutable/chk_share.h"
#include "grid/immutable/encode_pipeline.h"

namespace lafs::grid::test {

struct Shares {
  EncodedFile file;
  std::vector<Bytes> shares;
};

inline Task<Result<>> add_blocks(std::vector<Bytes>& shares, const EncodedSegment& segment) {
  for (std::uint64_t i = 0; i < shares.size(); ++i) append(shares[i], segment.block({i}));
  co_return Result<>{};
}

inline Task<Result<Shares>> encode_shares(Pool& pool, Bytes plaintext, Geometry geometry, Key16 key,
                                          std::optional<LayoutVersion> force = std::nullopt) {
  CO_TRY(encoder, FileEncoder::make(geometry, key, force));
  Shares out;
  out.shares.assign(geometry.n, serialize_header(encoder->layout()));
  const auto source = memory_source(std::move(plaintext));
  const SegmentSink sink = [&out](const EncodedSegment& s) { return add_blocks(out.shares, s); };
  CO_TRY(file, co_await encode_file(*encoder, source, pool, sink));
  for (std::uint64_t i = 0; i < geometry.n; ++i) append(out.shares[i], file.trailer({i}));
  out.file = std::move(file);
  co_return out;
}

inline Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(7 * i + 3 + i / 251);
  return out;
}

}  // namespace lafs::grid::test
