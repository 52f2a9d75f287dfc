// SPDX-License-Identifier: Apache-2.0

// DiskServer: space and usage, collection, and the check of reported shares.

#include "grid/base/log.h"
#include "grid/server/advisories.h"
#include "grid/server/disk_state.h"

namespace lafs::grid::storage {

namespace {
// What others see of the usage index is this old at most.
constexpr auto commit_interval = std::chrono::seconds(1);
}  // namespace

SpaceInUse DiskServer::State::in_use() const {
  SpaceInUse out;
  out.promised = uploads.promised();
  out.uploads = uploads.reserved();
  if (index && index->complete()) out.shares = index->totals().total().disk_bytes;
  return out;
}

void DiskServer::set_space(std::uint64_t reserved, std::optional<std::uint64_t> limit,
                           bool read_only) {
  state_->space.set(reserved, limit, read_only);
}

void DiskServer::set_upload_timeout(Duration timeout) { state_->options.upload_timeout = timeout; }

std::size_t DiskServer::uploads_in_progress() const { return state_->uploads.size(); }
std::uint64_t DiskServer::promised_space() const { return state_->uploads.promised(); }

std::uint64_t DiskServer::available_space() const {
  return state_->space.recently_available(Clock::now(), state_->in_use());
}

std::optional<ByKind> DiskServer::usage() const {
  const auto& index = state_->index;
  if (!index || !index->complete()) return std::nullopt;
  return index->totals();
}

bool DiskServer::wants_walk() const { return state_->index && state_->index->wants_walk(); }

void DiskServer::walk_done(unsigned index) {
  if (!state_->index || index != state_->index_number) return;
  state_->index->set_complete(true);
  // Whoever waited for the walk looks next.
  state_->index->commit();
}

void DiskServer::renew_index() {
  State& s = *state_;
  if (!s.index) return;
  s.index->abandon();
  s.index.reset();
  s.index = UsageIndex::make_anew(s.tree.root());
  ++s.index_number;
}

unsigned DiskServer::index_number() const { return state_->index_number; }

std::vector<StorageIndex> DiskServer::indexed_buckets(unsigned prefix) const {
  return state_->index ? state_->index->buckets_of(prefix) : std::vector<StorageIndex>{};
}

Task<Result<CollectionTally>> DiskServer::examine(StorageIndex si, ExpiryPolicy policy) {
  LAFS_ENTER();
  const auto turn = co_await s.turns.write(si);
  CO_TRY_DO(co_await s.settle(si));
  auto job = [&s, si, &policy, now = s.now()] {
    return collect_bucket(s.disk, s.tree, si, policy, true, now);
  };
  CO_TRY(report, co_await offload(s.pool, job));
  if (s.index) s.index->set(si, report.left);
  co_return std::move(report.tally);
}

Task<Result<>> DiskServer::State::settle(StorageIndex si) {
  if (!journal || !journal->holds(si)) co_return Result<>{};
  co_return co_await journal->settle();
}

Task<> DiskServer::State::commit_usage() {
  while (true) {
    co_await sleep_for(commit_interval);
    const bool stop = co_await stop_requested();
    if (stop || !index) co_return;
    index->commit();
  }
}

Task<Result<>> DiskServer::State::check_share(ShareKind kind, StorageIndex si, ShareNo number,
                                              std::string advisory) {
  const auto one = co_await checking.acquire();
  const bool stop = co_await stop_requested();
  if (stop) co_return fail(Errc::cancelled);
  auto outcome = co_await options.check_share(*self, kind, si, number);
  // A server that is being closed answers nobody, not even this.
  if (!outcome && outcome.error().code == Errc::cancelled) co_return outcome;
  if (!outcome && outcome.error().code == Errc::closed) co_return outcome;
  auto job = [&] { return note_check(disk, tree, advisory, outcome, now()); };
  CO_TRY_DO(co_await offload(pool, job));
  const auto share = si.text() + "/" + std::to_string(number.value);
  const auto finding = finding_of(outcome);
  if (finding == Advisory::Finding::damaged) {
    log::error("a share is damaged: " + outcome.error().message(), {{"share", share}});
  } else {
    log::info("a share reported as damaged was looked at",
              {{"share", share}, {"finding", std::string(name_of(finding))}});
  }
  co_return Result<>{};
}

Task<> DiskServer::State::check_reported(ShareKind kind, StorageIndex si, ShareNo number,
                                         std::string advisory) {
  auto done = co_await check_share(kind, si, number, std::move(advisory));
  if (!done && done.error().code != Errc::cancelled && done.error().code != Errc::closed) {
    log::warning("the check was not noted: " + done.error().message());
  }
  --checks_waiting;
}

Task<Result<Advisory>> DiskServer::check_advisory(std::string file) {
  LAFS_ENTER();
  if (!s.options.check_share) co_return fail(Errc::unsupported, "this server cannot check shares");
  auto read = [&] { return read_advisory(s.tree, file); };
  CO_TRY(advisory, co_await offload(s.pool, read));
  CO_TRY_DO(co_await s.check_share(advisory.kind, advisory.si, advisory.number, advisory.file));
  CO_TRY(checked, co_await offload(s.pool, read));
  co_return checked;
}

}  // namespace lafs::grid::storage
