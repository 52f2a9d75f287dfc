// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where an upload's plaintext comes from: a known number of bytes, usually with random access, read
// twice for a convergent key. The Source outlives the upload.

#include <functional>

#include "grid/base/bytes.h"
#include "grid/base/task.h"

namespace lafs::grid {

struct Source {
  std::uint64_t size = 0;
  // Fills `out` with the bytes from `offset`; all of them or an error. Never asked beyond `size`.
  // Several reads may be under way at once.
  std::function<Task<Result<>>(std::uint64_t offset, MutableBytes out)> read;
  // A pipe: asked once for each byte, in order, one read after the other. Needs a given key.
  bool once = false;
};

Source memory_source(Bytes data);

}  // namespace lafs::grid
