// SPDX-License-Identifier: Apache-2.0
#include "grid/server/collector.h"

#include <algorithm>
#include <ctime>

#include "grid/base/log.h"

namespace lafs::grid::storage {

namespace {
constexpr auto working_time = std::chrono::milliseconds(50);  // then it sleeps
constexpr auto save_interval = std::chrono::seconds(10);
constexpr auto tell_interval = std::chrono::milliseconds(500);
}  // namespace

Collector::Collector(asio::any_io_executor executor, Pool& pool, DiskServer& disk, Options options)
    : executor_(std::move(executor)),
      pool_(pool),
      disk_(disk),
      options_(std::move(options)),
      tree_(options_.directory),
      state_(CollectorState::load(options_.directory)),
      saving_(executor_, 1),
      due_(executor_),
      task_(executor_) {}

Collector::~Collector() = default;

void Collector::start() { task_.spawn(run()); }

void Collector::set_policy(const ExpiryPolicy& policy) {
  options_.policy = policy;
  if (!state_.current) return;
  state_.current->enabled = policy.enabled;
  state_.current->policy = policy.text();
}

Task<> Collector::close() {
  task_.cancel();
  co_await task_.join();
}

std::int64_t Collector::now() const {
  return options_.unix_time ? options_.unix_time() : std::time(nullptr);
}

Task<> Collector::run() {
  if (!disk_.wants_walk()) co_await due_.wait(Clock::now() + options_.first_delay);
  while (true) {
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    const auto interval = std::chrono::duration_cast<std::chrono::seconds>(options_.interval);
    const auto last = state_.history.empty() ? 0 : state_.history.back().started;
    const auto due = last + interval.count();
    if (!state_.current && !disk_.wants_walk() && now() < due) {
      // A clock that was set back must not put the next walk off for years.
      co_await due_.wait(Clock::now() + std::min(interval, std::chrono::seconds(due - now())));
      continue;
    }
    auto done = co_await walk();
    if (!done) {
      if (done.error().code == Errc::cancelled || done.error().code == Errc::closed) co_return;
      log::warning("the walk over the shares was broken off: " + done.error().message());
      co_await sleep_for(std::chrono::minutes(10));
    }
  }
}

Task<Result<>> Collector::walk() {
  // An index that is made anew has to see every share, those of the walk's earlier part too.
  if (disk_.wants_walk()) state_.behind.reset();
  const bool whole = !state_.behind;
  if (!state_.current || whole) {
    state_.current = CollectionCycle{};
    state_.current->number = state_.next_number();
    state_.current->started = now();
  }
  state_.current->enabled = options_.policy.enabled;
  state_.current->policy = options_.policy.text();
  const auto index = disk_.index_number();
  Walk walk{options_.policy,
            disk_.wants_walk() ? options_.share_of_time_to_index : options_.share_of_time,
            state_.current->tally, state_.behind};
  saved_ = Clock::now();

  const unsigned first = state_.behind ? prefix_of(*state_.behind) : 0;
  for (unsigned prefix = first; prefix < bucket_prefixes; ++prefix) {
    auto done = co_await walk_prefix(prefix, walk);
    if (!done) {
      co_await save();
      co_return done;
    }
  }
  state_.finish(now());
  if (whole) disk_.walk_done(index);
  co_await save();
  const auto& t = state_.history.back().tally;
  log::info(options_.policy.enabled ? "walked over all shares"
                                    : "walked over all shares; collection is not enabled",
            {{"shares", t.examined.total().shares},
             {"expired", t.expired.total().shares},
             {"removed", t.removed.total().shares},
             {"removed_bytes", t.removed.total().disk_bytes},
             {"unreadable", t.unreadable}});
  co_return Result<>{};
}

Task<Result<CollectionCycle>> Collector::walk_now(ExpiryPolicy policy, Seen seen) {
  CollectionCycle cycle;
  cycle.started = now();
  cycle.enabled = policy.enabled;
  cycle.policy = policy.text();
  const auto index = disk_.index_number();
  std::optional<StorageIndex> behind;
  Walk walk{policy, options_.share_of_time_when_asked, cycle.tally, behind};
  auto told = Clock::now();
  for (unsigned prefix = 0; prefix < bucket_prefixes; ++prefix) {
    CO_TRY_DO(co_await walk_prefix(prefix, walk));
    if (!seen || Clock::now() - told < tell_interval) continue;
    told = Clock::now();
    co_await seen(cycle.tally);
  }
  disk_.walk_done(index);
  cycle.finished = now();
  cycle.number = state_.next_number();
  state_.add(cycle);
  co_await save();
  co_return cycle;
}

Task<Result<>> Collector::rebuild_usage(Seen seen) {
  disk_.renew_index();
  const ExpiryPolicy nothing_goes;
  auto walked = co_await walk_now(nothing_goes, std::move(seen));
  if (walked) co_return Result<>{};
  due_.notify();
  co_return std::unexpected(std::move(walked.error()));
}

Task<Result<>> Collector::walk_prefix(unsigned prefix, Walk& walk) {
  CO_TRY(there, co_await offload(pool_, [this, prefix] { return buckets_of(tree_, prefix); }));
  // What only the index knows has gone without us: looking at it makes the index forget it.
  auto all = disk_.indexed_buckets(prefix);
  all.insert(all.end(), there.begin(), there.end());
  std::ranges::sort(all);
  const auto twice = std::ranges::unique(all);
  all.erase(twice.begin(), twice.end());
  for (const auto& si : all) {
    if (walk.behind && si <= *walk.behind) continue;
    CO_TRY(tally, co_await disk_.examine(si, walk.policy));
    walk.tally.add(tally);
    walk.behind = si;
    if (Clock::now() - walk.working_since >= working_time) co_await rest(walk);
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled);
  }
  co_return Result<>{};
}

Task<> Collector::rest(Walk& walk) {
  const auto worked = Clock::now() - walk.working_since;
  if (walk.share_of_time < 1) {
    const auto pause = std::chrono::duration<double>(worked) * (1 / walk.share_of_time - 1);
    co_await sleep_for(std::chrono::duration_cast<Duration>(pause));
  }
  if (Clock::now() - saved_ >= save_interval) co_await save();
  walk.working_since = Clock::now();
}

Task<> Collector::save() {
  saved_ = Clock::now();
  const auto turn = co_await saving_.acquire();
  auto job = [state = state_, where = options_.directory] { return state.save(where); };
  auto done = co_await offload(pool_, job);
  if (!done) log::warning("the collector's state was not saved: " + done.error().message());
}

}  // namespace lafs::grid::storage
