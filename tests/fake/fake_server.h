// SPDX-License-Identifier: Apache-2.0
#pragma once

// A complete storage server in memory, for tests (spec/storage 4.5 to 4.8), that can be gone, slow,
// silent, full, read-only, broken or lying. Faults are plain members, set at any time between
// calls. Every call goes round the event loop at least once, so callers see real interleavings. One
// server may be used by several run() calls, one after another.

#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "grid/storage/server.h"

namespace lafs::grid::fake {

enum class Verb : std::uint8_t {
  version,
  add_lease,
  allocate,
  write,
  abort,
  list,
  read,
  advise_corrupt,
  read_test_write,
};

// What of a failing call is lost: the request (nothing happened on the server) or only the reply
// (it did happen, and the caller does not know).
enum class Lost : std::uint8_t { request, reply };

// Counts calls, of one server or of a whole grid, and fails one of them.
struct FailPoint {
  std::uint64_t calls = 0;                 // made so far
  std::optional<std::uint64_t> fail_at;    // the number (from 0) of the call that fails
  std::optional<std::uint64_t> dead_from;  // every call from this number on fails
  Lost lost = Lost::request;
  bool fired = false;  // a call did fail

  // Counts one call; true when it is to fail.
  bool step();
};

struct Faults {
  std::optional<Errc> broken;  // every call fails with this at once
  bool stalled = false;        // no answer until the call is cancelled, or release() or close()
  Duration delay{};            // before each answer
  std::set<Verb> only;         // when not empty: the three above concern these verbs only

  // Requests that allocate cannot be taken back: one whose caller gave up waits for arrive_late().
  bool overtaken = false;

  bool full = false;       // advertises space, grants nothing
  bool read_only = false;  // advertises no space, grants nothing
  std::uint64_t max_share_size = std::uint64_t{1} << 60;
};

struct CorruptionReport {
  storage::ShareKind kind;
  StorageIndex si;
  ShareNo number;
  std::string reason;
};

class FakeServer : public storage::Server {
 public:
  using ShareKind = storage::ShareKind;

  explicit FakeServer(std::string name = "fake") : name_(std::move(name)) {}
  ~FakeServer() override;

  Faults faults;
  FailPoint own_steps;              // this server's calls
  FailPoint* grid_steps = nullptr;  // shared by all servers of a grid; outlives this

  // Shorthands.
  void set_gone(bool gone = true);
  void fail_at(std::uint64_t n, Lost lost = Lost::request);  // the n-th call from now (0: the next)
  void die_at(std::uint64_t n);                              // it and every later one
  void release();      // ends stalled, and answers whoever waits
  void arrive_late();  // what the network still held of cancelled allocations

  // --- what tests look at and change; no call is counted
  const std::string& name() const { return name_; }
  std::uint64_t calls(Verb verb) const;
  std::uint64_t total_calls() const;
  std::uint64_t bytes_read() const { return bytes_read_; }
  std::uint64_t bytes_written() const { return bytes_written_; }
  std::size_t most_in_flight() const { return most_in_flight_; }
  void reset_counters();
  const std::vector<CorruptionReport>& corruption_reports() const { return reports_; }
  std::size_t unfinished_uploads() const;
  std::set<StorageIndex> storage_indexes() const;
  std::set<ShareNo> shares(StorageIndex si) const;  // complete ones of either kind
  // Nothing when there is no such (complete) share.
  std::optional<Bytes> get_share(StorageIndex si, ShareNo number) const;
  void put_share(StorageIndex si, ShareNo number, Bytes data,
                 ShareKind kind = ShareKind::immutable);
  bool delete_share(StorageIndex si, ShareNo number);
  // Lying: changes the stored byte. False when there is no such byte.
  bool flip_bit(StorageIndex si, ShareNo number, std::uint64_t offset, unsigned bit = 0);
  std::vector<LeaseSecrets> leases(StorageIndex si) const;

  // --- storage::Server
  Task<Result<storage::ServerVersion>> version() override;
  Task<Result<>> add_lease(StorageIndex si, LeaseSecrets lease) override;
  Task<Result<storage::Allocation>> allocate(StorageIndex si, std::set<ShareNo> numbers,
                                             std::uint64_t share_size, LeaseSecrets lease,
                                             storage::UploadSecret upload) override;
  Task<Result<storage::WriteProgress>> write(StorageIndex si, ShareNo number,
                                             storage::UploadSecret upload, std::uint64_t offset,
                                             ByteView data) override;
  Task<Result<>> abort(StorageIndex si, ShareNo number, storage::UploadSecret upload) override;
  Task<Result<std::set<ShareNo>>> list(ShareKind kind, StorageIndex si) override;
  Task<Result<Bytes>> read(ShareKind kind, StorageIndex si, ShareNo number, std::uint64_t offset,
                           std::uint64_t length) override;
  Task<Result<>> advise_corrupt(ShareKind kind, StorageIndex si, ShareNo number,
                                std::string reason) override;
  Task<Result<storage::ReadTestWriteReply>> read_test_write(
      StorageIndex si, storage::MutableSecrets secrets, storage::ReadTestWrite request) override;
  Task<> close() override;

 private:
  struct Upload {
    storage::UploadSecret secret;
    std::uint64_t size;
    Bytes data;
    RangeSet written;
  };
  struct Bucket {
    ShareKind kind = ShareKind::immutable;
    std::map<ShareNo, Bytes> shares;
    std::map<ShareNo, Upload> uploads;
    std::optional<Secret32> write_enabler;
    std::vector<LeaseSecrets> leases;
  };
  class InFlight;

  // Everything that can go wrong before the server's own answer. True in the value: the reply is
  // to be lost.
  Task<Result<bool>> arrive(Verb verb);
  template <class T>
  Result<T> answer(bool lose, Result<T> reply);

  Result<> do_add_lease(StorageIndex si, const LeaseSecrets& lease);
  Result<storage::Allocation> do_allocate(StorageIndex si, const std::set<ShareNo>& numbers,
                                          std::uint64_t share_size, const LeaseSecrets& lease,
                                          const storage::UploadSecret& upload);
  Result<storage::WriteProgress> do_write(StorageIndex si, ShareNo number,
                                          const storage::UploadSecret& upload, std::uint64_t offset,
                                          ByteView data);
  Result<> do_abort(StorageIndex si, ShareNo number, const storage::UploadSecret& upload);
  Result<Bytes> do_read(ShareKind kind, StorageIndex si, ShareNo number, std::uint64_t offset,
                        std::uint64_t length);
  Result<storage::ReadTestWriteReply> do_read_test_write(StorageIndex si,
                                                         const storage::MutableSecrets& secrets,
                                                         const storage::ReadTestWrite& request);
  void forget_if_empty(StorageIndex si);

  std::string name_;
  std::map<StorageIndex, Bucket> buckets_;
  std::map<Verb, std::uint64_t> calls_;
  std::vector<CorruptionReport> reports_;
  std::list<Signal*> stalled_calls_;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_written_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t most_in_flight_ = 0;
  bool closed_ = false;
  std::vector<std::function<void()>> late_;
};

}  // namespace lafs::grid::fake
