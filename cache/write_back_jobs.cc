// SPDX-License-Identifier: Apache-2.0

// WriteBack: on the way to the grid, and waiting for it.

#include <unistd.h>

#include <algorithm>

#include "cache/write_back.h"
#include "grid/base/log.h"
#include "grid/base/process_metrics.h"

namespace lafs::cache {

namespace {

constexpr std::uint64_t piece = 1 << 20;           // of old content that is fetched
constexpr std::uint64_t small_upload = 256 << 10;  // goes in one piece
constexpr std::size_t names_per_record = 1000;     // of Tried
constexpr auto look_at_idle = std::chrono::seconds(2);
constexpr auto speed_over = std::chrono::seconds(10);

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Task<> WriteBack::run() {
  while (!closing_) {
    const auto now = Clock::now();
    finish_idle(now);
    reap();
    auto next = now + look_at_idle;
    std::optional<TimePoint> turn;  // of the next job
    while (queue_.size() > queue_.running()) {
      if (!hurries()) turn = pace_.hold(Pace::Step::job, now);
      if (turn) break;
      const auto job = queue_.start(now);
      if (!job) break;
      tasks_.spawn(run_job(*job));
    }
    if (turn)
      next = *turn;
    else if (auto due = queue_.next_due())
      next = std::min(next, *due);
    co_await wake_.wait(next);
    const bool stop = co_await stop_requested();
    if (stop) co_return;
  }
}

Task<> WriteBack::run_job(Job job) {
  const char* const name = job.kind == Kind::content     ? "content"
                           : job.kind == Kind::directory ? "directory"
                                                         : "names";
  auto& figures = metrics::of_process();
  Result<> done;
  if (job.kind == Kind::content) done = co_await upload(job.inode);
  if (job.kind == Kind::directory) done = co_await make_directory(job.inode);
  if (job.kind == Kind::names) done = co_await publish(job.inode);
  const auto now = Clock::now();
  figures
      .counter("lafs_cache_jobs_total", "Changes brought to the grid, or tried to.",
               {{"what", name}, {"outcome", done ? "done" : "failed"}})
      .add();
  if (done) {
    queue_.succeeded(job, now);
  } else {
    if (!closing_) {
      const auto* inode = tree_.find(job.inode);
      log::warning("not on the grid yet: " + (inode ? tree_.path_of(*inode) : std::string("?")) +
                   ": " + done.error().message());
    }
    queue_.failed(job, std::move(done).error(), now);
  }
  wake_.notify();
  changed_.notify();
}

// ------------------------------------------------------------------------------- content

Task<Result<Cap>> WriteBack::put(Inode& inode, StagedFile& staged) {
  // Old content that is needed is fetched before, so that the source never changes its mind.
  const auto base = inode.content->base;
  const auto existing = inode.cap;
  const auto size = staged.size();
  // A copy that was never changed is what it is a copy of.
  if (base && !base->is_mutable() && base->size() == size && staged.local().empty() &&
      staged.inherited_size() == size && !(existing && existing->is_mutable()))
    co_return *base;
  for (const auto& gap : staged.missing(0, size)) {
    if (!base) co_return fail(Errc::internal, "a new file misses content");
    for (auto at = gap.begin; at < gap.end; at += piece) {
      CO_TRY(old, co_await client_.read(*base, at, std::min(piece, gap.end - at)));
      CO_TRY_DO(staged.fill(at, old));
    }
  }
  if (existing && existing->is_mutable()) {  // stays the file it is, with other contents
    Bytes contents(size);
    CO_TRY_DO(staged.read(0, contents));
    CO_TRY_DO(co_await sync());  // before others see it
    CO_TRY_DO(co_await client_.overwrite(*existing, std::move(contents)));
    co_return *existing;
  }
  // The key is made of the content in a first pass, the shares in a second. A file that is written
  // between the two would get shares that its own later upload takes for the old content's.
  auto* from = &staged;
  const auto version = staged.version();
  auto read = [](WriteBack* self, StagedFile* file, std::uint64_t is, std::uint64_t at,
                 MutableBytes to) -> Task<Result<>> {
    if (file->size() > small_upload) co_await self->wait_for_turn();
    if (file->version() != is) co_return fail(Errc::busy, "it is written while it is uploaded");
    co_return file->read(at, to);
  };
  grid::Source source{.size = size,
                      .read = [this, read, from, version](std::uint64_t offset, MutableBytes out) {
                        return read(this, from, version, offset, out);
                      }};
  co_return co_await client_.put(source);
}

Task<Result<>> WriteBack::upload(InodeNo number) {
  auto inode = tree_.share(number);
  if (!inode || !needs_upload(*inode)) co_return Result<>{};
  if (!inode->content) {  // created and never written
    CO_TRY_DO(commit({Stored{number, Cap(grid::LitCap{}), true}}));
    queue_.add({Kind::names, inode->parent}, 0, Clock::now(), true);
    co_return Result<>{};
  }
  hold(*inode);
  auto opened = stage(*inode);
  if (!opened) {
    let_go(*inode);
    co_return std::unexpected(std::move(opened).error());
  }
  auto& staged = *inode->staged;
  const auto version = staged.version();
  auto cap = co_await put(*inode, staged);
  Result<> done;
  if (!cap) {
    done = std::unexpected(std::move(cap).error());
  } else if (inode->content && inode->staged.get() == &staged) {
    const bool all = staged.version() == version;
    if (all || inode->writers > 0) {
      done = commit({Stored{number, *cap, all}});
      if (done && all) {
        staged.rebase();
        inode->stored_version = version;
        ++done_files_;
        done_bytes_ += staged.size();
        recent_.emplace_back(Clock::now(), staged.size());
      }
    }
    if (!all) queue_.add({Kind::content, number}, staged.size(), Clock::now(), true);
    if (inode->named()) queue_.add({Kind::names, inode->parent}, 0, Clock::now(), true);
  }
  if (!inode->content) done = Result<>{};  // removed meanwhile: nobody needs it
  let_go(*inode);
  tree_.release(std::move(inode));
  co_return done;
}

Task<Result<>> WriteBack::make_directory(InodeNo number) {
  auto inode = tree_.share(number);
  if (!inode || !inode->kept || inode->cap) co_return Result<>{};
  std::vector<Tree::Outcome> outcomes;
  auto children = first_children(*inode, outcomes);
  const std::optional<grid::MutableFormat> usual;
  CO_TRY(cap, co_await client_.client().create_directory(children, usual));
  if (!inode->kept) co_return Result<>{};  // removed meanwhile
  CO_TRY(directory, co_await client_.directory(cap));
  directory->assume(cap, children);
  // One record: a directory that is known is known with what it holds.
  auto op = node_op(*inode);
  op.cap = cap;
  Record record{op};
  auto settled = tree_.published(number, outcomes);
  record.insert(record.end(), settled.begin(), settled.end());
  CO_TRY_DO(commit(record));
  ++done_publishes_;
  const auto now = Clock::now();
  if (inode->named()) queue_.add({Kind::names, inode->parent}, 0, now, true);
  if (tree_.pending_in(number)) queue_.add({Kind::names, number}, 0, now, true);
  co_return Result<>{};
}

// ------------------------------------------------------------------------------- names

Metadata WriteBack::metadata_of(const Inode& inode) const {
  auto metadata = inode.other;
  metadata.set_posix(inode.facts);
  return metadata;
}

std::vector<Child> WriteBack::first_children(const Inode& directory,
                                             std::vector<Tree::Outcome>& outcomes) {
  std::vector<Child> children;
  for (auto& name : tree_.publishable(directory.number)) {
    const auto& change = *tree_.pending(directory.number, name);
    if (change.node == 0) continue;
    const auto& inode = *tree_.find(change.node);
    Child child{name, *inode.cap, inode.cap->read_only().value_or(*inode.cap),
                Metadata::updated(std::nullopt, metadata_of(inode), seconds_now())};
    children.push_back(std::move(child));
    outcomes.push_back({.name = name, .sent = change, .cap = inode.cap});
  }
  return children;
}

namespace {
bool removes_directory(const Pending& change) {
  return change.node == 0 && change.base && change.base->is_directory() &&
         change.base->is_mutable();
}
}  // namespace

Task<Result<WriteBack::Emptied>> WriteBack::look_into_removed(InodeNo directory) {
  Emptied out;
  for (const auto& name : tree_.publishable(directory)) {
    const auto* change = tree_.pending(directory, name);
    if (!change || !removes_directory(*change)) continue;
    const auto cap = *change->base;
    CO_TRY(removed, co_await client_.client().directory(cap));
    CO_TRY(listing, co_await removed->list());
    out[name];
    if (listing.empty()) out[name] = listing.version;
  }
  co_return out;
}

std::vector<grid::Edit> WriteBack::edits_for(const Inode& directory, const Emptied& emptied,
                                             std::vector<Tree::Outcome>& outcomes,
                                             std::vector<std::size_t>& of) {
  std::vector<grid::Edit> edits;
  for (auto& name : tree_.publishable(directory.number)) {
    Tree::Outcome outcome;
    outcome.name = name;
    outcome.sent = *tree_.pending(directory.number, name);
    const auto& sent = outcome.sent;
    if (removes_directory(sent)) {
      const auto looked = emptied.find(name);
      if (looked == emptied.end()) continue;  // removed since: the next time
      outcome.emptied = looked->second;
      if (!outcome.emptied) {  // it stays
        ++conflicts_;
        log::warning(tree_.path_of(directory) + ": somebody else put something into " + name +
                     ", which is not removed");
        outcomes.push_back(std::move(outcome));
        continue;
      }
    }
    if (sent.node == 0) {
      grid::Edit::Remove edit{.name = name, .must_exist = false, .expected = sent.base};
      edit.merge = true;
      edit.ours = sent.tried;
      if (!edit.expected && !edit.ours.empty()) edit.expected = edit.ours.back();
      edits.push_back(std::move(edit));
    } else {
      auto& inode = *tree_.find(sent.node);
      outcome.cap = inode.cap;
      if (sent.facts_only) {
        auto change = [facts = inode.facts](Metadata theirs) {
          theirs.set_posix(facts);
          return theirs;
        };
        edits.push_back(
            grid::Edit::SetMetadata{.name = name, .change = change, .must_exist = false});
      } else {
        grid::Edit::Set edit{.name = name, .cap = *inode.cap, .metadata = metadata_of(inode)};
        edit.merge = true;
        edit.expected = sent.base;
        edit.ours = sent.tried;
        edits.push_back(std::move(edit));
      }
      inode.interim = false;
    }
    of.push_back(outcomes.size());
    outcomes.push_back(std::move(outcome));
  }
  return edits;
}

Task<Result<>> WriteBack::publish(InodeNo number) {
  auto inode = tree_.share(number);
  if (!inode || !inode->cap || !tree_.pending_in(number)) co_return Result<>{};
  CO_TRY(directory, co_await client_.directory(*inode->cap));
  std::vector<Tree::Outcome> outcomes;
  std::vector<std::size_t> of;
  CO_TRY(emptied, co_await look_into_removed(number));
  // From here to the record of the attempt nothing else can happen.
  auto edits = edits_for(*inode, emptied, outcomes, of);
  if (const auto* names = tree_.pending_in(number)) {
    for (const auto& [name, change] : *names)
      if (!change.moved.empty()) waiting_for_others_.insert(number);
  }
  if (outcomes.empty()) co_return Result<>{};
  // Before anything of ours can be there: what is found later is known to be ours.
  Record attempt;
  for (const auto& outcome : outcomes) {
    if (!outcome.cap || outcome.sent.facts_only) continue;
    attempt.push_back(Tried{number, outcome.name, *outcome.cap});
    if (attempt.size() < names_per_record) continue;
    CO_TRY_DO(commit(attempt));
    attempt.clear();
  }
  CO_TRY_DO(commit(attempt));
  // What others may see from now on is never forgotten here, not even with the power.
  CO_TRY_DO(co_await sync());
  grid::EditOptions edit_options{.now = seconds_now(), .host = options_.host};
  std::vector<grid::Conflict> conflicts;
  if (!edits.empty()) {
    CO_TRY(met, co_await directory->publish(std::move(edits), std::move(edit_options)));
    conflicts = std::move(met);
  }
  for (const auto& conflict : conflicts) {
    auto& outcome = outcomes[of.at(conflict.edit)];
    ++conflicts_;
    if (conflict.kept_as.empty()) {
      log::warning(tree_.path_of(*inode) + ": " + outcome.name +
                   " was changed by somebody else and is not removed");
      continue;
    }
    outcome.kept_as = conflict.kept_as;
    log::warning(tree_.path_of(*inode) + ": " + outcome.name +
                 " was changed by somebody else as well; ours is " + outcome.kept_as);
  }
  ++done_publishes_;
  CO_TRY_DO(settle(*inode, outcomes));
  co_await look_after(inode, std::move(outcomes));
  const auto now = Clock::now();
  if (tree_.pending_in(number)) queue_.add({Kind::names, number}, 0, now, true);
  for (auto other : std::exchange(waiting_for_others_, {}))
    if (other != number) queue_.add({Kind::names, other}, 0, now, false);
  co_return Result<>{};
}

// After a publish: two who did not know of each other may have removed a directory and put
// something into it. Whoever of them was last sees it here. What fails is only logged: the names
// themselves are published.
Task<> WriteBack::look_after(InodePtr directory, std::vector<Tree::Outcome> outcomes) {
  const bool added = std::ranges::any_of(outcomes, [](auto& o) { return o.cap.has_value(); });
  auto done = co_await bring_back(directory, std::move(outcomes));
  if (done && added) done = co_await link_again(directory);
  if (!done)
    log::warning("after publishing " + tree_.path_of(*directory) + ": " + done.error().message());
}

Task<Result<>> WriteBack::bring_back(InodePtr directory, std::vector<Tree::Outcome> outcomes) {
  for (auto& outcome : outcomes) {
    if (!outcome.emptied) continue;
    CO_TRY(file, client_.client().mutable_file(*outcome.sent.base));
    CO_TRY(version, co_await file->probe());
    if (version == *outcome.emptied) continue;
    CO_TRY(removed, co_await client_.client().directory(*outcome.sent.base));
    CO_TRY(listing, co_await removed->list());
    if (listing.empty() || tree_.pending(directory->number, outcome.name)) continue;
    auto inode = tree_.make(tree_.number_for(directory->number, outcome.name, true));
    inode->directory = true;
    inode->parent = directory->number;
    inode->name = outcome.name;
    inode->cap = outcome.sent.base;
    CO_TRY_DO(commit(tree_.put(*inode, std::nullopt, false)));
  }
  co_return Result<>{};
}

// Somebody else may have removed the directory that we have just put something into.
Task<Result<>> WriteBack::link_again(InodePtr directory) {
  if (!directory->named() || tree_.pending(directory->parent, directory->name))
    co_return Result<>{};
  auto above = tree_.share(directory->parent);
  if (!above || !above->cap) co_return Result<>{};
  CO_TRY(parent, co_await client_.directory(*above->cap));
  if (!parent->writable()) co_return Result<>{};
  parent->expire();
  CO_TRY_DO(co_await parent->refresh());
  const auto child = parent->find(directory->name);
  if (child && child->cap == *directory->cap) co_return Result<>{};
  for (const auto& other : parent->children())
    if (other.cap == *directory->cap) co_return Result<>{};  // only renamed
  if (!directory->named() || tree_.pending(directory->parent, directory->name))
    co_return Result<>{};
  log::warning(tree_.path_of(*directory) + " was removed by somebody else and is there again");
  ++conflicts_;
  co_return commit(tree_.put(*directory, std::nullopt, false));
}

Result<> WriteBack::settle(Inode& directory, const std::vector<Tree::Outcome>& outcomes) {
  // Those who have to be told that a file is called otherwise now.
  std::vector<std::pair<std::string, InodePtr>> renamed;
  for (const auto& outcome : outcomes) {
    if (outcome.kept_as.empty()) continue;
    const auto* now = tree_.pending(directory.number, outcome.name);
    if (!now || now->node == 0 || now->node != outcome.sent.node) continue;
    if (auto inode = tree_.share(now->node)) renamed.emplace_back(outcome.name, std::move(inode));
  }
  // Some thousand names do not go into one record.
  for (std::size_t at = 0; at < outcomes.size(); at += names_per_record) {
    const auto end = std::min(outcomes.size(), at + names_per_record);
    const std::vector<Tree::Outcome> some(outcomes.begin() + static_cast<std::ptrdiff_t>(at),
                                          outcomes.begin() + static_cast<std::ptrdiff_t>(end));
    TRY_DO(commit(tree_.published(directory.number, some)));
  }
  TRY_DO(commit(tree_.forget_unused(directory.number)));
  for (auto& [from, inode] : renamed) {
    for (auto& [who, listener] : listeners_) listener(directory.number, from, *inode);
    tree_.release(std::move(inode));
  }
  return {};
}

// ------------------------------------------------------------------------------- waiting

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
    if (late || (on_error == OnError::give_up && given_up == left.size())) {
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
  return jobs.empty() ? "clean" : "dirty";
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
    if (job.kind == Kind::content) item.bytes = state.bytes;
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
