// SPDX-License-Identifier: Apache-2.0
#include "grid/server/collector.h"

#include <algorithm>
#include <ctime>

#include "grid/base/log.h"

namespace lafs::grid::storage {

namespace {
constexpr auto working_time = std::chrono::milliseconds(50);  // then it sleeps
constexpr auto save_interval = std::chrono::seconds(10);
}  // namespace

Collector::Collector(asio::any_io_executor executor, Pool& pool, DiskServer& disk, Options options)
    : executor_(executor),
      pool_(pool),
      disk_(disk),
      options_(std::move(options)),
      tree_(options_.directory),
      state_(CollectorState::load(options_.directory)),
      task_(std::move(executor)) {}

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
  if (!disk_.wants_walk()) co_await sleep_for(options_.first_delay);
  while (true) {
    bool stop = co_await stop_requested();
    if (stop) co_return;
    const auto interval = std::chrono::duration_cast<std::chrono::seconds>(options_.interval);
    const auto last = state_.history.empty() ? 0 : state_.history.back().started;
    const auto due = last + interval.count();
    if (!state_.current && !disk_.wants_walk() && now() < due) {
      // A clock that was set back must not put the next walk off for years.
      co_await sleep_for(std::min(interval, std::chrono::seconds(due - now())));
      stop = co_await stop_requested();
      if (stop) co_return;
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
  const auto share_of_time =
      disk_.wants_walk() ? options_.share_of_time_to_index : options_.share_of_time;
  working_since_ = saved_ = Clock::now();

  const unsigned first = state_.behind ? prefix_of(*state_.behind) : 0;
  for (unsigned prefix = first; prefix < bucket_prefixes; ++prefix) {
    auto done = co_await walk_prefix(prefix, share_of_time);
    if (!done) {
      co_await save();
      co_return done;
    }
  }
  state_.finish(now());
  if (whole) disk_.walk_done();
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

Task<Result<>> Collector::walk_prefix(unsigned prefix, double share_of_time) {
  CO_TRY(there, co_await offload(pool_, [this, prefix] { return buckets_of(tree_, prefix); }));
  // What only the index knows has gone without us: looking at it makes the index forget it.
  auto all = disk_.indexed_buckets(prefix);
  all.insert(all.end(), there.begin(), there.end());
  std::ranges::sort(all);
  const auto twice = std::ranges::unique(all);
  all.erase(twice.begin(), twice.end());
  for (const auto& si : all) {
    if (state_.behind && si <= *state_.behind) continue;
    CO_TRY(tally, co_await disk_.examine(si, options_.policy));
    state_.current->tally.add(tally);
    state_.behind = si;
    if (Clock::now() - working_since_ >= working_time) co_await rest(share_of_time);
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled);
  }
  co_return Result<>{};
}

Task<> Collector::rest(double share_of_time) {
  const auto worked = Clock::now() - working_since_;
  if (share_of_time < 1) {
    const auto pause = std::chrono::duration<double>(worked) * (1 / share_of_time - 1);
    co_await sleep_for(std::chrono::duration_cast<Duration>(pause));
  }
  if (Clock::now() - saved_ >= save_interval) co_await save();
  working_since_ = Clock::now();
}

Task<> Collector::save() {
  saved_ = Clock::now();
  auto done = co_await offload(pool_, [this] { return state_.save(options_.directory); });
  if (!done) log::warning("the collector's state was not saved: " + done.error().message());
}

}  // namespace lafs::grid::storage
