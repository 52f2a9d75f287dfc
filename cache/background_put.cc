// SPDX-License-Identifier: Apache-2.0
#include "cache/background_put.h"

#include "grid/crypto/random.h"

namespace lafs::cache {

Task<Result<Cap>> put_in_background(CachedClient& client, Pool& pool, const grid::Source& source,
                                    grid::Progress progress) {
  const auto usual = client.client().upload_context();
  // Under a number of its own until the cap is known.
  CachedFile made;
  made.id.bytes = grid::random_array<16>();
  unsigned passes = 0;
  auto& disk = *client.disk();
  auto keep = [&made, &passes, &disk](const grid::Geometry& geometry, grid::SegmentNo number,
                                      ByteView ciphertext) {
    if (number.value == 0) ++passes;
    if (passes > 1) return;  // a source may have changed in between
    made.segment_size = geometry.segment_size;
    disk.keep_segment({made.id, number}, std::make_shared<const Bytes>(to_bytes(ciphertext)));
  };
  grid::UploadContext context{.roster = usual.roster,
                              .pool = pool,
                              .lease_secret = usual.lease_secret,
                              .encoding = usual.encoding,
                              .convergence_secret = usual.convergence_secret,
                              .progress = std::move(progress),
                              .keep = std::move(keep),
                              .limits = usual.limits};
  CO_TRY(result, co_await grid::upload(std::move(context), source));
  if (auto* chk = result.cap.as<grid::ChkCap>(); chk && passes == 1) {
    const grid::StorageIndex name{grid::truncate<16>(chk->ueb_hash)};  // as CachedClient does
    if (!disk.file(name)) disk.keep_file(name, made);
  }
  co_return result.cap;
}

}  // namespace lafs::cache
