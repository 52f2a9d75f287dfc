// SPDX-License-Identifier: Apache-2.0
#pragma once

// The whole pass over an upload's plaintext: reading, encoding on all cores, the flat hash and
// sending overlap, over a ring of buffers that are used again and again.

#include <functional>

#include "grid/base/offload.h"
#include "grid/immutable/encoder.h"
#include "grid/immutable/source.h"

namespace lafs::grid {

// Called with segments in order; the segment stays until the task has ended.
using SegmentSink = std::function<Task<Result<>>(const EncodedSegment&)>;

// Reads the source in order, one read after the other, encodes several segments at once on the pool
// and hands them to the sink in order. Holds at most about 80 MiB of segments (or the least it can
// work with, when they are large). `encoder`, `source` and `sink` outlive the task.
Task<Result<EncodedFile>> encode_file(FileEncoder& encoder, const Source& source, Pool& pool,
                                      const SegmentSink& sink);

// The convergent key of a plaintext (spec/immutable 2.1): one pass over the source.
Task<Result<Key16>> convergent_key(const Source& source, const Geometry& geometry,
                                   Bytes convergence_secret, Pool& pool);

}  // namespace lafs::grid
