// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/chk_reader.h"

#include <boost/asio/this_coro.hpp>

#include "grid/crypto/aes_ctr.h"
#include "grid/immutable/on_pool.h"

namespace lafs::grid {

namespace {
constexpr std::size_t segments_at_once = 4;
}

void decrypt_at(const Key16& key, std::uint64_t offset, ByteView ciphertext, MutableBytes out) {
  AesCtr(key, offset).process(ciphertext, out);
}

Task<Result<Bytes>> ChkReader::read(std::uint64_t offset, std::uint64_t length) {
  if (offset >= size()) co_return Bytes();
  length = std::min(length, size() - offset);
  if (length == 0) co_return Bytes();
  CO_TRY(g, co_await file_->geometry(offset));
  Bytes out(length);
  const auto first = g.segment_at(offset).value;
  const auto last = g.segment_at(offset + length - 1).value;
  std::vector<Result<>> results(last - first + 1);
  TaskGroup group(co_await asio::this_coro::executor);
  bool stop = false;
  for (auto s = first; s <= last && !stop; ++s) {
    const auto begin = std::max(offset, g.segment_offset({s}));
    const auto end = std::min(offset + length, g.segment_offset({s}) + g.segment_length({s}));
    group.spawn(copy_segment({s}, begin, begin - g.segment_offset({s}),
                             MutableBytes(out).subspan(begin - offset, end - begin),
                             results[s - first]));
    while (group.running() >= segments_at_once && !stop) {
      co_await group.wait_one();
      stop = co_await stop_requested();
    }
    stop = stop || !results[s - first];
  }
  co_await group.join();
  for (auto& result : results) {
    if (!result) co_return std::unexpected(std::move(result).error());
  }
  stop = co_await stop_requested();
  if (stop) co_return fail(Errc::cancelled, "reading a file");
  co_return out;
}

Task<> ChkReader::copy_segment(SegmentNo segment, std::uint64_t offset, std::uint64_t skip,
                               MutableBytes out, Result<>& result) {
  auto data = co_await file_->segment(segment);
  if (!data) {
    result = std::unexpected(std::move(data).error());
    co_return;
  }
  co_await on_pool(pool_, out.size() / 4, [&] {
    decrypt_at(key_, offset, ByteView(**data).subspan(skip, out.size()), out);
  });
}

}  // namespace lafs::grid
