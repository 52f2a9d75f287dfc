// SPDX-License-Identifier: Apache-2.0
#pragma once

// The whole pass over an upload's plaintext: reading, encoding on all cores, the flat hash and
// sending overlap, over a ring of buffers that are used again and again.

#include <functional>

#include "grid/base/offload.h"
#include "grid/immutable/encoder.h"
#include "grid/immutable/source.h"
#include "grid/immutable/source_sum.h"

namespace lafs::grid {

// Errc::busy, in words for whoever asked for the upload.
std::unexpected<Error> source_changed();

// Called with segments in order; the segment stays until the task has ended.
using SegmentSink = std::function<Task<Result<>>(const EncodedSegment&)>;

// Reads the source in order, one read after the other, encodes several segments at once on the pool
// and hands them to the sink in order. Holds at most about 80 MiB of segments (or the least it can
// work with, when they are large). With `expected`, a source that holds something else by now ends
// it with source_changed(), and nothing of that reaches the sink. What is referred to outlives the
// task.
Task<Result<EncodedFile>> encode_file(FileEncoder& encoder, const Source& source, Pool& pool,
                                      const SegmentSink& sink, const SourceSum* expected = nullptr);

// A plaintext's convergent key (spec/immutable 2.1), and what it was made from.
struct ContentKey {
  Key16 key;
  SourceSum contents;
};
// One pass over the source.
Task<Result<ContentKey>> convergent_key(const Source& source, const Geometry& geometry,
                                        Bytes convergence_secret, Pool& pool);

}  // namespace lafs::grid
