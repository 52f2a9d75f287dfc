// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/source.h"

#include <memory>

namespace lafs::grid {

namespace {
Task<Result<>> copy_from(std::shared_ptr<const Bytes> data, std::uint64_t offset,
                         MutableBytes out) {
  auto part = slice(*data, offset, out.size());
  if (!part) co_return fail(Errc::bad_range, "read past the end of a buffer");
  std::copy(part->begin(), part->end(), out.begin());
  co_return Result<>{};
}
}  // namespace

Source memory_source(Bytes data) {
  auto shared = std::make_shared<const Bytes>(std::move(data));
  Source source;
  source.size = shared->size();
  source.read = [shared](std::uint64_t offset, MutableBytes out) {
    return copy_from(shared, offset, out);
  };
  return source;
}

}  // namespace lafs::grid
