// SPDX-License-Identifier: Apache-2.0
#pragma once

// INTERFACE 1 on a directory that Tahoe's own storage server could use as well (spec/storage 5):
//
//   shares/<pp>/<storage index>/<number>           complete shares; pp: first two characters
//   shares/incoming/<pp>/<storage index>/<number>  uploads in progress; wiped at start
//   corruption-advisories/...                      what clients reported
//
// State is on the I/O thread, disk work on the pool. What changes the files of one storage index
// is serialised; reads of it run side by side. After kill -9 (and, unless `durable` is off, after
// a power cut) an acknowledged share is there and every share is either its old or its new self.

#include <filesystem>
#include <functional>

#include "grid/base/offload.h"
#include "grid/server/advisories.h"
#include "grid/server/collection.h"
#include "grid/storage/server.h"

namespace lafs::grid::storage {

class DiskServer final : public Server {
 public:
  struct Options {
    std::filesystem::path directory;          // created when missing
    LeaseSeed node_id{};                      // recorded in mutable shares (Identity::node_id)
    std::uint64_t reserved_space = 0;         // bytes of the disk that are never offered
    std::optional<std::uint64_t> size_limit;  // of everything stored; needs the usage index
    bool read_only = false;                   // takes no new immutable shares
    bool usage_index = true;                  // keep totals (usage_index.h)
    bool durable = true;                      // off: no syncs, for tests and benches
    bool journal = true;  // small mutable shares change by way of one (mutable_journal.h)
    std::uint64_t journal_growth = 1 << 20;              // bytes
    Duration upload_timeout = std::chrono::minutes(30);  // of inactivity
    std::string application_version = "lafs/0.1.0";
    // Reads a share that a client calls damaged and says what is wrong with it; nothing: it is not
    // looked at.
    std::function<Task<Result<>>(Server&, ShareKind, StorageIndex, ShareNo)> check_share;
    // Bytes free on the disk; the file system is asked when this is empty.
    std::function<std::uint64_t()> free_space;
    // Seconds since 1970; the system's clock when this is empty.
    std::function<std::int64_t()> unix_time;
    // Asked before every change of the disk with the step's name; false stops there, as if the
    // process had been killed: neither this step nor any later one happens. For tests.
    std::function<bool(std::string_view)> allow_step;
    // See Disk::TearWrite. For tests.
    std::function<std::optional<std::size_t>(const std::filesystem::path&)> tear_write;
    // Told of every change that was made: see Disk::StepDone. For tests.
    std::function<void(std::string_view, const std::filesystem::path&,
                       const std::filesystem::path&)>
        step_done;
  };

  // Creates the directories and wipes shares/incoming. Errc::io, Errc::access_denied.
  static Result<std::unique_ptr<DiskServer>> open(asio::any_io_executor executor, Pool& pool,
                                                  Options options);
  ~DiskServer() override;

  // Other settings from now on.
  void set_space(std::uint64_t reserved, std::optional<std::uint64_t> limit, bool read_only);
  void set_upload_timeout(Duration timeout);

  // Whether any share is there (spec/storage 8.6: decides the default permutation seed).
  bool has_shares() const;
  std::size_t uploads_in_progress() const;
  // Bytes that new shares may take now.
  std::uint64_t available_space() const;
  // Bytes promised to uploads that they have not written yet.
  std::uint64_t promised_space() const;

  // What all shares take; nothing while no walk has seen all of them since the index was made.
  std::optional<ByKind> usage() const;
  // For the collector, which examines every storage index and then says so.
  std::vector<StorageIndex> indexed_buckets(unsigned prefix) const;
  Task<Result<CollectionTally>> examine(StorageIndex si, ExpiryPolicy policy);
  bool wants_walk() const;
  // Begins with an empty index.
  void renew_index();
  // Another one after each renewal; which one the walk that has ended made complete.
  unsigned index_number() const;
  void walk_done(unsigned index);

  // Looks at the share of a report of clients (Advisory::file) once more, and notes what it finds.
  // Errc::not_found: there is no such report; unsupported: without Options::check_share.
  Task<Result<Advisory>> check_advisory(std::string file);

  Task<Result<ServerVersion>> version() override;
  Task<Result<>> add_lease(StorageIndex si, LeaseSecrets lease) override;
  Task<Result<Allocation>> allocate(StorageIndex si, std::set<ShareNo> numbers,
                                    std::uint64_t share_size, LeaseSecrets lease,
                                    UploadSecret upload) override;
  Task<Result<WriteProgress>> write(StorageIndex si, ShareNo number, UploadSecret upload,
                                    std::uint64_t offset, ByteView data) override;
  Task<Result<>> abort(StorageIndex si, ShareNo number, UploadSecret upload) override;
  Task<Result<std::set<ShareNo>>> list(ShareKind kind, StorageIndex si) override;
  Task<Result<Bytes>> read(ShareKind kind, StorageIndex si, ShareNo number, std::uint64_t offset,
                           std::uint64_t length) override;
  Task<Result<>> advise_corrupt(ShareKind kind, StorageIndex si, ShareNo number,
                                std::string reason) override;
  Task<Result<ReadTestWriteReply>> read_test_write(StorageIndex si, MutableSecrets secrets,
                                                   ReadTestWrite request) override;
  // Drops uploads in progress.
  Task<> close() override;

 private:
  struct State;
  explicit DiskServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lafs::grid::storage
