// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an upload stands on and what may be said of it: grid/immutable/uploader.h is the door.

#include <functional>

#include "grid/base/offload.h"
#include "grid/caps/cap.h"
#include "grid/immutable/encoder.h"
#include "grid/immutable/geometry.h"
#include "grid/immutable/share_writer.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

// `done` of `total` bytes of plaintext have been encoded and taken over for sending.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct UploadLimits {
  Duration survey = std::chrono::seconds(15);  // for a server to say what it has
  // When enough servers to be happy have answered, the others get this much longer, or twice the
  // time that it took until then.
  Duration stragglers = std::chrono::seconds(1);
  Duration allocate = std::chrono::seconds(15);
  // How long to wait for somebody else's upload of the same file to end.
  Duration contention = std::chrono::seconds(60);
  SendLimits send;
};

struct UploadContext {
  const storage::Roster& roster;
  Pool& pool;
  Secret32 lease_secret;  // the node's: "private/secret"
  Encoding encoding;
  Bytes convergence_secret;  // the node's: "private/convergence"
  Progress progress{};
  // Shown the ciphertext of every segment that is made, in order, so that what was just written
  // need not be fetched to be read. A pass over the file that has to be repeated begins anew with
  // number 0.
  std::function<void(const Geometry&, SegmentNo, ByteView)> keep{};
  UploadLimits limits{};
};

struct UploadReport {
  std::uint64_t happiness = 0;
  std::size_t shares_sent = 0;
  std::size_t shares_found = 0;     // distinct numbers that some server had already
  std::size_t shares_replaced = 0;  // sent to another server than at first
  std::uint64_t bytes_sent = 0;
  std::map<ShareNo, std::set<std::string>> servers;  // ids of those that hold each share now
};

}  // namespace lafs::grid
