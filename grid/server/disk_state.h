// SPDX-License-Identifier: Apache-2.0
#pragma once

// What DiskServer is made of, for its own .cc files: disk_server.cc (life, reads, leases, mutable
// shares), disk_uploads.cc (immutable uploads), disk_upkeep.cc (space, usage, collection).

#include "grid/server/complete_shares.h"
#include "grid/server/disk_server.h"
#include "grid/server/mutable_journal.h"
#include "grid/server/space.h"
#include "grid/server/turns.h"
#include "grid/server/uploads.h"
#include "grid/server/usage_index.h"

namespace lafs::grid::storage {

struct DiskServer::State {
  static constexpr std::uint64_t most_changing = 64;

  State(asio::any_io_executor e, Pool& p, Options o)
      : executor(e),
        pool(p),
        tree(o.directory),
        disk(o.durable, o.allow_step, o.step_done, o.tear_write),
        space(
            o.free_space ? o.free_space : [where = tree.shares()] { return free_space_of(where); },
            o.reserved_space, o.size_limit, o.read_only),
        options(std::move(o)),
        gate(e),
        turns(e),
        some_placed(e),
        background(e),
        checking(e, 1),
        changing(e, most_changing) {}

  Result<> prepare_directories();
  std::int64_t now() const;
  std::uint32_t expiration() const;
  SpaceInUse in_use() const;
  Result<std::set<ShareNo>> lease_complete_shares(StorageIndex si, const LeaseSecrets& lease,
                                                  std::uint32_t owner);
  Task<Result<>> finish(Uploads::Key key, std::shared_ptr<Upload> upload);
  Task<> place_complete();
  Task<Result<>> discard(Uploads::Key key);
  Task<> expire_idle_uploads();
  Task<> commit_usage();
  // Notes the outcome beside the report of that name.
  Task<Result<>> check_share(ShareKind kind, StorageIndex si, ShareNo number, std::string advisory);
  Task<> check_reported(ShareKind kind, StorageIndex si, ShareNo number, std::string advisory);

  // What the journal holds of `si` is in its shares for good, and they may be changed past it.
  Task<Result<>> settle(StorageIndex si);

  // Runs `job` on the pool and then brings the usage index up to date about `si`, whatever came of
  // the job. The caller has the turn to write.
  template <class Job>
  Task<std::invoke_result_t<Job&>> change(StorageIndex si, Job job) {
    using Out = std::pair<std::invoke_result_t<Job&>, std::map<ShareNo, ShareFacts>>;
    CO_TRY_DO(co_await settle(si));
    const bool indexed = index != nullptr;
    auto both = [&]() -> Out {
      auto result = job();
      return {std::move(result),
              indexed ? facts_of_bucket(tree, si) : std::map<ShareNo, ShareFacts>{}};
    };
    auto out = co_await offload(pool, std::ref(both));
    if (index) index->set(si, out.second);
    co_return std::move(out.first);
  }

  DiskServer* self = nullptr;  // whose state this is
  asio::any_io_executor executor;
  Pool& pool;
  ShareTree tree;
  Disk disk;
  Space space;
  Options options;
  Gate gate;
  Turns turns;
  Uploads uploads;
  std::unique_ptr<MutableJournal> journal;  // nothing: every change is synced by itself
  std::vector<std::shared_ptr<CompleteShare>> complete;  // that wait for place_complete()
  std::map<std::shared_ptr<CompleteShare>, Result<>> placed;
  Signal some_placed;
  bool placing = false;               // place_complete() is running
  std::unique_ptr<UsageIndex> index;  // nothing: not wanted
  unsigned index_number = 0;
  TaskGroup background;
  std::size_t advisories = 0;      // files there
  std::size_t checks_waiting = 0;  // check_reported() in flight
  Limiter checking;                // one at a time
  Limiter changing;                // mutable shares, in memory: most_changing requests at once
  bool expiring = false;           // expire_idle_uploads() is running
};

// Every verb begins here.
#define LAFS_ENTER()                \
  State& s = *state_;               \
  const auto pass = s.gate.enter(); \
  if (!pass) co_return fail(Errc::closed, "the storage server has been closed")

}  // namespace lafs::grid::storage
