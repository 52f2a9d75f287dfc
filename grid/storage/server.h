// SPDX-License-Identifier: Apache-2.0
#pragma once

// INTERFACE 1: one storage server, in a dozen verbs (spec/storage 4). Bodies: RemoteServer (HTTPS),
// DiskServer (a directory), FakeServer (tests). All verbs run on the I/O thread.
//
// Errors that callers act on: unreachable, timed_out, protocol, wrong_certificate (the server is
// of no use now); unauthorized (our secret is wrong); not_found; conflict; no_space; refused.

#include <map>
#include <set>
#include <string>

#include "grid/base/ranges.h"
#include "grid/base/task.h"
#include "grid/caps/keys.h"
#include "grid/caps/storage_index.h"

namespace lafs::grid::storage {

struct ServerVersion {
  std::uint64_t max_immutable_share_size = 0;
  std::uint64_t max_mutable_share_size = 0;
  std::uint64_t available_space = 0;  // 0 also means read-only
  std::string application_version;
};

struct Allocation {
  std::set<ShareNo> already_have;  // every complete share of the storage index, asked for or not
  std::set<ShareNo> allocated;     // ours to write now, under the upload secret we gave
};

struct WriteProgress {
  bool complete = false;            // the share is finished and readable
  std::vector<ByteRange> required;  // gaps that are left
};

struct TestVector {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  // Equal to the bytes at offset (reads past the end are cut), or nothing is written.
  Bytes specimen;
};
struct WriteVector {
  std::uint64_t offset = 0;
  Bytes data;
};
struct ReadVector {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};
struct ShareChange {
  std::vector<TestVector> tests;
  std::vector<WriteVector> writes;
  std::optional<std::uint64_t> new_length;  // 0 deletes the share; larger than the share: ignored
};
struct ReadTestWrite {
  std::map<ShareNo, ShareChange> changes;
  std::vector<ReadVector> reads;  // applied to every existing share before the writes
};
struct ReadTestWriteReply {
  bool success = false;  // false: a test did not match and nothing was written
  std::map<ShareNo, std::vector<Bytes>> data;
};

struct MutableSecrets {
  Secret32 write_enabler;
  LeaseSecrets lease;
};

using UploadSecret = Secret<32>;

enum class ShareKind : std::uint8_t { immutable, mutable_ };

class Server {
 public:
  virtual ~Server() = default;

  virtual Task<Result<ServerVersion>> version() = 0;
  // Renews or adds a lease on every share there. not_found when there is none.
  virtual Task<Result<>> add_lease(StorageIndex si, LeaseSecrets lease) = 0;

  // Immutable shares. Numbers asked for that appear in neither set of the answer were not granted
  // (no space, or another upload is under way).
  virtual Task<Result<Allocation>> allocate(StorageIndex si, std::set<ShareNo> numbers,
                                            std::uint64_t share_size, LeaseSecrets lease,
                                            UploadSecret upload) = 0;
  // `data` must stay until the task ends; not empty. Errc::conflict: other bytes are there already.
  virtual Task<Result<WriteProgress>> write(StorageIndex si, ShareNo number, UploadSecret upload,
                                            std::uint64_t offset, ByteView data) = 0;
  // not_found: never heard of; refused: already complete.
  virtual Task<Result<>> abort(StorageIndex si, ShareNo number, UploadSecret upload) = 0;

  // Both kinds. A read past the end is cut; wholly past it, it is empty. An unknown storage index
  // lists nothing; reading an unknown share is not_found.
  virtual Task<Result<std::set<ShareNo>>> list(ShareKind kind, StorageIndex si) = 0;
  virtual Task<Result<Bytes>> read(ShareKind kind, StorageIndex si, ShareNo number,
                                   std::uint64_t offset, std::uint64_t length) = 0;
  // Tells the server that a share of its is damaged. `reason`: 1..32765 bytes, cut when longer.
  virtual Task<Result<>> advise_corrupt(ShareKind kind, StorageIndex si, ShareNo number,
                                        std::string reason) = 0;

  // Mutable shares. Errc::unauthorized when the write enabler is not the recorded one.
  virtual Task<Result<ReadTestWriteReply>> read_test_write(StorageIndex si, MutableSecrets secrets,
                                                           ReadTestWrite request) = 0;

  // Ends what is under way and lets connections go. Call once, before destruction.
  virtual Task<> close() = 0;
};

}  // namespace lafs::grid::storage
