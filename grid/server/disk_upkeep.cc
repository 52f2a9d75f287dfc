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

void DiskServer::walk_done() {
  if (state_->index) state_->index->set_complete(true);
}

std::vector<StorageIndex> DiskServer::indexed_buckets(unsigned prefix) const {
  return state_->index ? state_->index->buckets_of(prefix) : std::vector<StorageIndex>{};
}

Task<Result<CollectionTally>> DiskServer::examine(StorageIndex si, ExpiryPolicy policy) {
  LAFS_ENTER();
  const auto turn = co_await s.turns.write(si);
  auto job = [&s, si, &policy, now = s.now()] {
    return collect_bucket(s.disk, s.tree, si, policy, true, now);
  };
  CO_TRY(report, co_await offload(s.pool, job));
  if (s.index) s.index->set(si, report.left);
  co_return std::move(report.tally);
}

Task<> DiskServer::State::commit_usage() {
  while (true) {
    co_await sleep_for(commit_interval);
    const bool stop = co_await stop_requested();
    if (stop || !index) co_return;
    index->commit();
  }
}

Task<> DiskServer::State::check_reported(Reported what) {
  {
    const auto one = co_await checking.acquire();
    const bool stop = co_await stop_requested();
    if (!stop) {
      auto outcome = co_await options.check_share(*self, what.kind, what.si, what.number);
      // A server that is being closed answers nobody, not even this.
      const bool known = outcome || (outcome.error().code != Errc::cancelled &&
                                     outcome.error().code != Errc::closed);
      if (known) {
        auto noted = co_await offload(
            pool, [&] { return note_check(disk, tree, what.file, outcome, now()); });
        if (!noted) log::warning("the check was not noted: " + noted.error().message());
        const auto share = what.si.text() + "/" + std::to_string(what.number.value);
        if (outcome) {
          log::info("a share reported as damaged is sound", {{"share", share}});
        } else {
          log::error("a share is damaged: " + outcome.error().message(), {{"share", share}});
        }
      }
    }
  }
  --checks_waiting;
}

}  // namespace lafs::grid::storage
