// SPDX-License-Identifier: Apache-2.0

// WriteBack: waiting for the grid, and what people are told of it.

#include <algorithm>

#include "cache/write_back.h"

namespace lafs::cache {

namespace {
constexpr auto speed_over = std::chrono::seconds(10);
constexpr std::size_t enough_failed = 8;
}  // namespace

bool WriteBack::below(InodeNo inode, InodeNo scope) const {
  if (scope == 0) return true;
  const auto* at = tree_.find(inode);
  for (int depth = 0; at && depth < 4096; ++depth) {
    if (at->number == scope) return true;
    at = tree_.find(at->parent);
  }
  return false;
}

// What has to happen before an inode is found on the grid.
std::vector<WriteBack::Job> WriteBack::jobs_for(const Inode& inode) const {
  std::vector<Job> out;
  const Inode* at = &inode;
  for (int depth = 0; at && at->named() && depth < 4096; ++depth) {
    if (needs_upload(*at)) out.push_back({Kind::content, at->number});
    if (at->directory && !at->cap) out.push_back({Kind::directory, at->number});
    const auto* name = tree_.pending(at->parent, at->name);
    if (name && name->node == at->number) out.push_back({Kind::names, at->parent});
    at = tree_.find(at->parent);
  }
  return out;
}

namespace {
// As long as somebody waits.
struct Hurry {
  explicit Hurry(unsigned& count) : count_(++count) {}
  ~Hurry() { --count_; }
  Hurry(const Hurry&) = delete;
  Hurry& operator=(const Hurry&) = delete;

 private:
  unsigned& count_;
};
}  // namespace

Task<Result<>> WriteBack::on_grid(InodePtr inode) {
  const Hurry hurry(in_a_hurry_);
  finish(*inode);
  std::map<Job, unsigned> attempts;  // that had failed when we first saw the job
  for (;;) {
    const auto jobs = jobs_for(*inode);
    if (jobs.empty()) co_return Result<>{};
    const auto now = Clock::now();
    for (const auto& job : jobs) {
      const auto* state = queue_.find(job);
      if (!state) {
        // Names that are not ready are looked at again now and then only.
        queue_.add(job, inode->current_size(), now, job.kind == Kind::names);
        state = queue_.find(job);
      }
      const auto [it, is_new] = attempts.try_emplace(job, state->attempts);
      if (state->attempts > it->second && state->error) co_return std::unexpected(*state->error);
      // Those that failed before are tried now; later their own backoff is good enough.
      if (is_new) queue_.urge(job, now);
    }
    wake_.notify();
    if (closing_) co_return fail(Errc::closed, "the drive is being closed");
    co_await changed_.wait();
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "waiting for the grid");
  }
}

Task<Result<>> WriteBack::flush(InodeNo scope, TimePoint deadline, OnError on_error) {
  const Hurry hurry(in_a_hurry_);
  for (auto number : tree_.kept()) {
    auto* inode = tree_.find(number);
    if (inode && needs_upload(*inode) && below(number, scope)) finish(*inode);
  }
  std::map<Job, unsigned> attempts;
  for (;;) {
    std::vector<Job> left;
    // What it is called is to be found as well.
    std::vector<Job> own;
    if (const auto* top = scope ? tree_.find(scope) : nullptr) own = jobs_for(*top);
    for (const auto& [job, state] : queue_.jobs())
      if (below(job.inode, scope) || std::ranges::find(own, job) != own.end()) left.push_back(job);
    const auto now = Clock::now();
    if (left.empty()) {
      for (auto number : tree_.directories_with_changes()) {
        if (!below(number, scope) && std::ranges::find(own, Job{Kind::names, number}) == own.end())
          continue;
        left.push_back({Kind::names, number});
        queue_.add(left.back(), 0, now, true);
      }
      if (left.empty()) co_return Result<>{};
    }
    std::size_t given_up = 0;
    std::optional<Error> error;
    InodeNo failed = 0;
    for (const auto& job : left) {
      const auto& state = *queue_.find(job);
      const auto [it, is_new] = attempts.try_emplace(job, state.attempts);
      if (state.attempts > it->second) {
        ++given_up;
        error = state.error;
        failed = job.inode;
      } else {
        queue_.urge(job, now);
      }
    }
    wake_.notify();
    const bool late = now >= deadline;
    // When the grid takes nothing, not each of a hundred thousand files has to hear it.
    const bool hopeless = given_up == left.size() || (queue_.away() && given_up >= enough_failed);
    if (late || (on_error == OnError::give_up && hopeless)) {
      const auto* inode = tree_.find(failed);
      const auto count = std::to_string(left.size()) + " changes are not on the grid yet";
      if (!error) co_return fail(late ? Errc::timed_out : Errc::unreachable, count);
      co_return annotate(std::move(*error), count + ", for example " +
                                                (inode ? tree_.path_of(*inode) : std::string()));
    }
    co_await changed_.wait(deadline);
    // Looking at everything for each small step would take longer than the steps.
    if (left.size() > 100) co_await sleep_for(std::chrono::milliseconds(20));
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "waiting for the grid");
  }
}

std::string WriteBack::state_of(const Inode& inode) const {
  const auto jobs = jobs_for(inode);
  for (const auto& job : jobs)
    if (const auto* state = queue_.find(job); state && state->error)
      return "stuck: " + state->error->message();
  for (const auto& job : jobs)
    if (const auto* state = queue_.find(job); state && state->running) return "uploading";
  if (jobs.empty()) return "clean";
  if (queue_.away() && queue_.last_error()) return "stuck: " + queue_.last_error()->message();
  return "dirty";
}

PendingReport WriteBack::pending(std::size_t most_items) const {
  PendingReport out;
  const auto now = Clock::now();
  auto seconds = [](Duration d) { return std::chrono::duration_cast<std::chrono::seconds>(d); };
  std::vector<std::pair<int, Job>> order;
  for (const auto& [job, state] : queue_.jobs()) {
    if (job.kind == Kind::content) {
      ++out.files;
      out.bytes += state.bytes;
    } else {
      ++out.directories;
      if (const auto* names = tree_.pending_in(job.inode); names && job.kind == Kind::names)
        out.names += names->size();
    }
    out.running += state.running;
    out.stuck += state.error && !state.running;
    order.emplace_back(state.running ? 1 : state.error ? 0 : 2, job);
  }
  for (const auto& [number, open] : open_contents_) {
    const auto* inode = tree_.find(number);
    if (!inode || !inode->content || queue_.find({Kind::content, number})) continue;
    ++out.files;
    out.bytes += inode->content->staged.size;
  }
  const auto shown = std::min(most_items, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end());
  for (std::size_t i = 0; i < shown; ++i) {
    const auto job = order[i].second;
    const auto& state = *queue_.find(job);
    const auto* inode = tree_.find(job.inode);
    PendingItem item;
    item.what = job.kind == Kind::content     ? PendingItem::What::content
                : job.kind == Kind::directory ? PendingItem::What::new_directory
                                              : PendingItem::What::names;
    item.state = state.running ? PendingItem::State::running
                 : state.error ? PendingItem::State::stuck
                               : PendingItem::State::waiting;
    item.inode = job.inode;
    if (inode) {
      item.path = tree_.path_of(*inode);
      const auto* root = inode;
      for (int depth = 0; root && root->named() && depth < 4096; ++depth)
        root = tree_.find(root->parent);
      item.root = root ? root->number : 0;
    }
    if (job.kind == Kind::content) {
      item.bytes = state.bytes;
      item.sent = std::min(state.bytes, sent_of(job.inode));
    }
    if (const auto* names = tree_.pending_in(job.inode); names && job.kind == Kind::names)
      item.names = names->size();
    item.age = seconds(now - state.since);
    item.attempts = state.attempts;
    if (state.error) item.error = state.error->message();
    if (state.error && state.due > now) item.next_try = seconds(state.due - now);
    out.items.push_back(std::move(item));
  }
  out.done_files = done_files_;
  out.done_bytes = done_bytes_;
  out.done_publishes = done_publishes_;
  out.conflicts = conflicts_;
  std::uint64_t sent = 0;
  for (const auto& [when, bytes] : recent_)
    if (now - when < speed_over) sent += bytes;
  out.bytes_per_second =
      static_cast<double>(sent) / std::chrono::duration<double>(speed_over).count();
  out.warnings = warnings_;
  return out;
}

}  // namespace lafs::cache
