// SPDX-License-Identifier: Apache-2.0
#include "cache/upload_queue.h"

#include <algorithm>

namespace lafs::cache {

UploadQueue::Rank UploadQueue::rank(const Job& job, const State& state) const {
  int kind = 0;
  if (job.kind == Kind::content) kind = state.bytes <= limits_.small ? 1 : 3;
  if (job.kind == Kind::names) kind = 2;
  return {!state.urgent, kind, state.order};
}

void UploadQueue::unlist(const Job& job, State& state) {
  waiting_.erase({state.due, job});
  ready_.erase(rank(job, state));
}

void UploadQueue::wait(const Job& job, State& state, TimePoint due) {
  state.due = due;
  waiting_.insert({due, job});
}

void UploadQueue::add(Job job, std::uint64_t bytes, TimePoint now, bool quiet) {
  auto [it, is_new] = jobs_.try_emplace(job);
  auto& state = it->second;
  if (is_new) {
    state.since = now;
    state.order = next_order_++;
  }
  if (state.running) {
    state.again = true;
    if (!is_new) return;
  }
  unlist(job, state);
  state.bytes = bytes;
  // What failed waits for its next try, whatever happens meanwhile.
  if (state.error && state.due > now && !state.urgent) return wait(job, state, state.due);
  const auto latest = state.since + limits_.latest;
  const auto due = quiet && !state.urgent ? std::min(now + limits_.quiet, latest) : now;
  wait(job, state, due);
}

void UploadQueue::remove(Job job) {
  auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  it->second.again = false;
  if (it->second.running) return;
  unlist(job, it->second);
  jobs_.erase(it);
}

void UploadQueue::urge(Job job, TimePoint now) {
  auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  auto& state = it->second;
  if (state.urgent && state.due <= now) return;
  if (state.running) {
    state.urgent = true;
    return;
  }
  unlist(job, state);
  state.urgent = true;
  wait(job, state, now);
}

void UploadQueue::urge_all(TimePoint now) {
  std::vector<Job> all;
  for (const auto& [job, state] : jobs_)
    if (!state.urgent || state.due > now) all.push_back(job);
  for (const auto& job : all) urge(job, now);
}

bool UploadQueue::fits(const Job& job, const State& state) const {
  const auto running = running_of_[static_cast<int>(job.kind)];
  switch (job.kind) {
    case Kind::directory:
      return running < limits_.directories;
    case Kind::names:
      return running < limits_.names;
    case Kind::content:
      // One always may, however large.
      return running == 0 || (running < limits_.contents && bytes_ + state.bytes <= limits_.bytes);
  }
  return false;
}

std::optional<UploadQueue::Job> UploadQueue::start(TimePoint now) {
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    const auto job = waiting_.begin()->second;
    waiting_.erase(waiting_.begin());
    ready_.emplace(rank(job, jobs_[job]), job);
  }
  // Only the first of each class can be the next: one that does not fit stops those behind it of
  // its own kind, so that the large ones are not starved by the small.
  bool blocked[3] = {};
  for (auto it = ready_.begin(); it != ready_.end(); ++it) {
    const auto job = it->second;
    auto& state = jobs_[job];
    // (The urgent ones are in front.)
    if (away() && !state.urgent && (running_ > 0 || now < next_probe_)) break;
    const auto kind = static_cast<int>(job.kind);
    if (blocked[kind]) {
      if (blocked[0] && blocked[1] && blocked[2]) break;
      // The ranks of one class are together: skip to the next class.
      auto [urgent, place, order] = it->first;
      it = std::prev(ready_.lower_bound({urgent, place + 1, 0}));
      continue;
    }
    if (!fits(job, state)) {
      blocked[kind] = true;
      continue;
    }
    ready_.erase(it);
    state.running = true;
    state.again = false;
    ++running_;
    ++running_of_[kind];
    if (job.kind == Kind::content) bytes_ += state.bytes;
    return job;
  }
  return std::nullopt;
}

std::optional<TimePoint> UploadQueue::next_due() const {
  std::optional<TimePoint> due;
  if (!waiting_.empty()) due = waiting_.begin()->first;
  if (away() && running_ == 0 && !ready_.empty())
    due = due ? std::min(*due, next_probe_) : next_probe_;
  return due;
}

void UploadQueue::end(const Job& job, State& state) {
  state.running = false;
  --running_;
  --running_of_[static_cast<int>(job.kind)];
  if (job.kind == Kind::content) bytes_ -= state.bytes;
}

void UploadQueue::succeeded(Job job, TimePoint now) {
  auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  auto& state = it->second;
  end(job, state);
  const bool again = state.again;
  const bool urgent = state.urgent;
  const auto bytes = state.bytes;
  jobs_.erase(it);
  if (again) {
    add(job, bytes, now, true);
    if (urgent) urge(job, now);
  }
  failures_in_a_row_ = 0;
  // The grid is there: what waits because it was away need not wait any longer.
  if (!any_failed_) return;
  any_failed_ = false;
  std::vector<Job> stuck;
  for (const auto& [due, other] : waiting_)
    if (jobs_[other].error && due > now + limits_.first_retry) stuck.push_back(other);
  for (const auto& other : stuck) {
    auto& waiting = jobs_[other];
    unlist(other, waiting);
    wait(other, waiting, now + limits_.first_retry);
  }
}

void UploadQueue::failed(Job job, Error error, TimePoint now) {
  auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  auto& state = it->second;
  end(job, state);
  ++state.attempts;
  state.error = std::move(error);
  last_error_ = state.error;
  any_failed_ = true;
  state.urgent = false;
  ++failures_in_a_row_;
  auto due = now + backoff(state.attempts);
  if (away()) {
    next_probe_ = now + backoff(failures_in_a_row_ - limits_.away_after + 1);
    due = std::max(due, next_probe_);
  }
  wait(job, state, due);
}

Duration UploadQueue::backoff(unsigned failures) {
  const auto grown = limits_.first_retry * (1u << std::min(failures - 1, 10u));
  const auto delay = std::min<Duration>(grown, limits_.last_retry);
  // Half to all of it, so that many do not come back at one moment.
  auto jitter = std::uniform_int_distribution<Duration::rep>(delay.count() / 2, delay.count());
  return Duration(jitter(random_));
}

const UploadQueue::State* UploadQueue::find(Job job) const {
  auto it = jobs_.find(job);
  return it == jobs_.end() ? nullptr : &it->second;
}

}  // namespace lafs::cache
