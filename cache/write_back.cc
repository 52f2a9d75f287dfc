// SPDX-License-Identifier: Apache-2.0

// WriteBack: start and end, changes, checkpoints, and what runs when.

#include "cache/write_back.h"

#include "grid/base/log.h"
#include "grid/base/offload.h"
#include "grid/base/process_metrics.h"

namespace lafs::cache {

namespace {

constexpr auto look_at_idle = std::chrono::seconds(2);
constexpr std::size_t most_unsynced_files = 400;

timespec wall_clock_now() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

}  // namespace

WriteBack::WriteBack(asio::any_io_executor executor, CachedClient& client, Options options)
    : executor_(executor),
      client_(client),
      options_(std::move(options)),
      queue_(options_.limits),
      wake_(executor),
      changed_(executor),
      tasks_(executor) {}

WriteBack::~WriteBack() = default;

Result<std::unique_ptr<WriteBack>> WriteBack::open(asio::any_io_executor executor,
                                                   CachedClient& client, Disk& disk,
                                                   Options options) {
  std::unique_ptr<WriteBack> out(new WriteBack(executor, client, std::move(options)));
  const auto& o = out->options_;
  TRY_DO(disk.make_directory(o.directory));
  // The journal first: its lock guards the others.
  TRY(journal, Journal::open(executor, disk,
                             {.directory = o.directory + "/journal",
                              .node_secret = o.node_secret,
                              .segment_bytes = o.segment_bytes}));
  out->journal_ = std::move(journal);
  TRY(staging, Staging::open(disk, out->journal_->dirty(),
                             {.directory = o.directory + "/staging",
                              .node_secret = o.node_secret,
                              .budget = o.budget}));
  out->staging_ = std::move(staging);
  TRY(store,
      Store::open(disk, {.directory = o.directory + "/store", .node_secret = o.node_secret}));
  out->store_ = std::move(store);
  TRY_DO(out->recover(disk));
  out->tasks_.spawn(out->run());
  return out;
}

Result<> WriteBack::recover(Disk& disk) {
  if (!store_->put_aside().empty())
    warnings_.push_back("the cache's database was damaged and is kept as " + store_->put_aside() +
                        "; changes that were only there are lost, the journal's are not");
  TRY_DO(store_->each([&](ByteView, ByteView value) -> Result<> {
    if (auto done = tree_.restore(value); !done)
      warnings_.push_back("an entry of the cache's database cannot be read: " +
                          done.error().message());
    return {};
  }));
  if (store_->damaged() > 0)
    warnings_.push_back(std::to_string(store_->damaged()) +
                        " entries of the cache's database are damaged");
  auto apply = [&](Sequence sequence, ByteView payload) -> Result<> {
    auto record = decode(payload);
    if (record)
      tree_.apply(*record);
    else
      warnings_.push_back("journal record " + std::to_string(sequence) + " cannot be read");
    return {};
  };
  TRY(report, journal_->replay(store_->covered(), apply, apply));
  if (report.damaged) warnings_.push_back(report.damage);
  if (report.unsynced > 0)
    log::warning("the last " + std::to_string(report.unsynced) +
                 " changes before the power went had not been synced and are lost");
  tree_.mend(warnings_);
  for (const auto& warning : warnings_) log::error(warning);

  // A journal that is damaged is not gone on with: what could be read of it becomes a checkpoint.
  if (report.damaged) {
    TRY_DO(disk.sync_all(options_.directory));
    TRY_DO(store_->checkpoint(tree_.take_changes(), report.position));
    TRY_DO(journal_->checkpoint(report.position));
  }
  // Staging files that nothing speaks of any more. When what should is damaged, they are all that
  // is left of their files.
  const bool damaged = report.damaged || !store_->put_aside().empty() || store_->damaged() > 0;
  std::size_t aside = 0;
  std::set<StagedId> known;
  for (auto number : tree_.kept())
    if (const auto* inode = tree_.find(number); inode->content) {
      known.insert(inode->content->staged.id);
      staging_->keep(inode->content->staged);
    }
  TRY(ids, staging_->ids());
  for (auto id : ids)
    if (!known.contains(id)) {
      TRY_DO(damaged ? staging_->set_aside(id) : staging_->remove(id));
      if (damaged) ++aside;
    }
  if (aside > 0) {
    warnings_.push_back("the content of " + std::to_string(aside) +
                        " files that no record speaks of any more is set aside in " +
                        staging_->aside() + ": `lafs rescue DIR` writes it out");
    log::error(warnings_.back());
  }
  queue_all();
  if (queue_.size() > 0)
    log::info(std::to_string(queue_.size()) + " uploads were left by the last run");
  return {};
}

void WriteBack::queue_all() {
  const auto now = Clock::now();
  for (auto number : tree_.kept()) {
    const auto* inode = tree_.find(number);
    if (needs_upload(*inode))
      queue_.add({Kind::content, number}, inode->current_size(), now, false);
    if (inode->directory && !inode->cap) queue_.add({Kind::directory, number}, 0, now, false);
  }
  for (auto number : tree_.directories_with_changes())
    queue_.add({Kind::names, number}, 0, now, true);
}

Task<Result<>> WriteBack::close() {
  closing_ = true;
  wake_.notify();
  tasks_.cancel();
  co_await tasks_.join();
  while (checkpointing_) co_await changed_.wait_shielded();
  co_await checkpoint();
  co_await tasks_.join();  // staging files being removed
  co_return co_await journal_->close();
}

// ------------------------------------------------------------------------------- changes

Result<> WriteBack::commit(const Record& record) {
  if (record.empty()) return {};
  // Files that nobody will read again; those that are open go when they are let go of.
  std::vector<StagedId> unneeded;
  for (const auto& op : record) {
    const auto* forgotten = std::get_if<ForgetNode>(&op);
    auto* inode = forgotten ? tree_.find(forgotten->number) : nullptr;
    if (!inode || !inode->content) continue;
    if (inode->opens > 0) TRY_DO(stage(*inode));
    if (!inode->staged) unneeded.push_back(inode->content->staged.id);
  }
  TRY(sequence, journal_->append(encode(record)));
  static_cast<void>(sequence);
  tree_.apply(record);
  for (auto id : unneeded) discard(id);
  note(record);
  if (journal_->use().bytes > options_.checkpoint_bytes && !checkpointing_ && !closing_) {
    checkpointing_ = true;
    tasks_.spawn(checkpoint());
  }
  return {};
}

template <class Change>
void WriteBack::change_stream(InodeNo number, Change change) {
  auto it = streams_.find(number);
  if (it == streams_.end()) return;
  change(*it->second);
  if (it->second->spoiled()) streams_.erase(it);
}

// What a change means for the queue, and for what is on its way already.
void WriteBack::note(const Record& record) {
  const auto now = Clock::now();
  for (const auto& op : record) {
    if (const auto* node = std::get_if<PutNode>(&op)) {
      if (node->directory && !node->cap) queue_.add({Kind::directory, node->number}, 0, now, false);
    } else if (const auto* name = std::get_if<PutPending>(&op)) {
      queue_.add({Kind::names, name->directory}, 0, now, true);
    } else if (const auto* forgotten = std::get_if<ForgetNode>(&op)) {
      queue_.remove({Kind::content, forgotten->number});
      queue_.remove({Kind::directory, forgotten->number});
      queue_.remove({Kind::names, forgotten->number});
      open_contents_.erase(forgotten->number);
      outdate(forgotten->number, true);
      change_stream(forgotten->number, [](auto& stream) { stream.spoil(); });
    } else if (const auto* extent = std::get_if<Extent>(&op)) {
      outdate(extent->number, false);
      change_stream(extent->number,
                    [&](auto& stream) { stream.wrote(extent->offset, extent->length); });
    } else if (const auto* truncated = std::get_if<Truncated>(&op)) {
      outdate(truncated->number, false);
      change_stream(truncated->number, [&](auto& stream) { stream.cut(truncated->size); });
    } else if (const auto* content = std::get_if<PutContent>(&op)) {
      outdate(content->number, false);
      // (The first bytes of a new file begin with this.)
      change_stream(content->number, [&](auto& stream) { stream.cut(0); });
    } else if (const auto* settled = std::get_if<Settled>(&op)) {
      if (!tree_.pending_in(settled->directory)) queue_.remove({Kind::names, settled->directory});
    }
  }
  wake_.notify();
  changed_.notify();
}

bool WriteBack::needs_upload(const Inode& inode) {
  return !inode.directory && (inode.content || !inode.cap);
}

Task<Result<>> WriteBack::sync() { co_return co_await journal_->sync(); }

Task<> WriteBack::checkpoint() {
  checkpointing_ = true;
  auto changes = std::move(unsaved_);
  auto newer = tree_.take_changes();
  changes.insert(changes.end(), std::make_move_iterator(newer.begin()),
                 std::make_move_iterator(newer.end()));
  unsaved_.clear();
  const auto covered = journal_->last();
  // The database is not to speak of staged bytes that a loss of power could still take.
  Result<> done = co_await journal_->synced(covered);
  if (done && covered > store_->covered()) {
    auto work = [&] { return store_->checkpoint(changes, covered); };
    done = co_await offload(client_.client().pool(), std::ref(work));
  }
  if (done) done = journal_->checkpoint(covered);
  if (!done) {
    log::error("checkpoint: " + done.error().message());
    unsaved_ = std::move(changes);
  }
  reap();
  checkpointing_ = false;
  changed_.notify();
}

void WriteBack::discard(StagedId id) {
  if (id) discarded_.push_back({journal_->last(), id});
}

// Nothing is given back as long as a crash could bring it to life again.
void WriteBack::trim_later(const Inode& inode) {
  if (inode.named()) to_trim_[inode.number] = journal_->last();
}

void WriteBack::trim(InodeNo number) {
  auto* inode = tree_.find(number);
  if (!inode || !inode->content) return;
  hold(*inode);
  Result<> done = stage(*inode);
  if (done) done = inode->staged->trim();
  if (!done) log::warning("staging file: " + done.error().message());
  let_go(*inode);
}

void WriteBack::reap() {
  const auto lasting = journal_->last_synced();
  for (auto it = to_trim_.begin(); it != to_trim_.end();) {
    if (it->second > lasting) {
      ++it;
      continue;
    }
    trim(it->first);
    it = to_trim_.erase(it);
  }
  if (removing_) return;
  std::vector<StagedId> ids;
  while (!discarded_.empty() && discarded_.front().after <= journal_->last_synced()) {
    ids.push_back(discarded_.front().id);
    discarded_.pop_front();
  }
  if (ids.empty()) return;
  removing_ = true;
  tasks_.spawn(remove_staged(std::move(ids)));
}

// Elsewhere: taking a file from the disk takes longer than most of what people ask for.
Task<> WriteBack::remove_staged(std::vector<StagedId> ids) {
  std::vector<StagedId> emptied;
  auto work = [&, wanted = staging_->spares_wanted()] {
    Result<> worst;
    for (auto id : ids) {
      if (emptied.size() < wanted && staging_->empty(id))
        emptied.push_back(id);
      else if (auto done = staging_->remove(id); !done)
        worst = std::move(done);
    }
    return worst;
  };
  const auto done = co_await offload(client_.client().pool(), std::ref(work));
  if (!done) log::warning("staging file: " + done.error().message());
  for (auto id : ids) staging_->budget().forget(id);
  for (auto id : emptied) staging_->add_spare(id);
  removing_ = false;
}

Task<> WriteBack::wait_for_turn() {
  while (!closing_ && !hurries()) {
    const auto now = Clock::now();
    const auto until = pace_.hold(Pace::Step::piece, now);
    if (!until) co_return;
    co_await sleep_for(*until - now);
    const bool stop = co_await stop_requested();
    if (stop) co_return;
  }
}

// ------------------------------------------------------------------------------- jobs

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
  Result<> done;
  if (job.kind == Kind::content) done = co_await upload(job.inode);
  if (job.kind == Kind::directory) done = co_await make_directory(job.inode);
  if (job.kind == Kind::names) done = co_await publish(job.inode);
  const auto now = Clock::now();
  const bool was_away = queue_.away();
  metrics::of_process()
      .counter("lafs_cache_jobs_total", "Changes brought to the grid, or tried to.",
               {{"what", name}, {"outcome", done ? "done" : "failed"}})
      .add();
  if (done) {
    queue_.succeeded(job, now);
    if (was_away) log::info("the grid takes changes again");
  } else {
    // Said of the first few: while the grid is away, all fail alike.
    if (!closing_ && !was_away) {
      const auto* inode = tree_.find(job.inode);
      log::warning("not on the grid yet: " + (inode ? tree_.path_of(*inode) : std::string("?")) +
                   ": " + done.error().message());
    }
    queue_.failed(job, std::move(done).error(), now);
    if (!was_away && queue_.away() && !closing_)
      log::warning("the grid does not take any changes; they are kept here and tried again");
  }
  wake_.notify();
  changed_.notify();
}

// ------------------------------------------------------------------------------- content

void WriteBack::let_go(Inode& inode) {
  if (--inode.opens > 0 || !inode.staged) return;
  const auto id = inode.staged->id();
  if (!inode.content) {
    inode.size = inode.staged->size();
    discard(id);
  }
  inode.staged.reset();
}

Result<> WriteBack::stage(Inode& inode) {
  if (inode.staged) return {};
  if (inode.content) {
    TRY(opened, staging_->reopen(inode.content->staged));
    inode.staged = std::move(opened);
    return {};
  }
  TRY(made, staging_->create(inode.size, tree_.path_of(inode)));
  inode.staged = std::move(made);
  inode.stored_version = inode.staged->version();
  return {};
}

namespace {

// Clean content that is still staged begins anew: what is here is also on the grid.
Content content_of(const Inode& inode) {
  Content out;
  out.staged = Staging::memory_of(*inode.staged);
  out.staged.local.clear();
  out.staged.inherited_size = inode.cap ? inode.staged->size() : 0;
  out.base = inode.cap;
  return out;
}

}  // namespace

Task<Result<>> WriteBack::write(InodePtr inode, std::optional<std::uint64_t> offset, ByteView data,
                                std::optional<Cap> base) {
  // From three quarters of the budget on writers wait a little, at the end 50 ms for each write;
  // when nothing is left, the write itself says so.
  const auto pressure = staging_->budget().pressure();
  if (pressure > 0)
    co_await sleep_for(std::chrono::microseconds(static_cast<int>(50'000 * pressure * pressure)));
  // Whoever makes files faster than the disk takes them waits for it: each is open until then.
  if (journal_->dirty()->files() > most_unsynced_files) CO_TRY_DO(co_await sync());
  CO_TRY_DO(stage(*inode));
  if (data.empty()) co_return Result<>{};
  const auto when = wall_clock_now();
  if (inode->named() && !inode->content)
    CO_TRY_DO(commit(tree_.start_content(*inode, content_of(*inode), base)));
  const auto at = offset.value_or(inode->staged->size());
  CO_TRY_DO(inode->staged->write(at, data));
  if (inode->named()) {
    CO_TRY_DO(commit({Extent{inode->number, at, data.size(), when}}));
    if (inode->writers > 0) {
      auto [it, is_new] = open_contents_.try_emplace(inode->number);
      it->second.last_write = Clock::now();
      if (is_new) it->second.since = it->second.last_write;
    }
  } else {
    inode->facts.mtime = inode->facts.ctime = when;
  }
  co_return Result<>{};
}

Result<> WriteBack::truncate(Inode& inode, std::uint64_t size, const std::optional<Cap>& base) {
  TRY_DO(stage(inode));
  const auto when = wall_clock_now();
  if (inode.named()) {
    Record record;
    if (!inode.content) record = tree_.start_content(inode, content_of(inode), base);
    record.push_back(Truncated{inode.number, size, when});
    TRY_DO(commit(record));
  } else {
    inode.facts.mtime = inode.facts.ctime = when;
  }
  const bool shrinks = size < inode.staged->size();
  inode.staged->truncate(size);
  if (shrinks) trim_later(inode);
  return {};
}

void WriteBack::finish(Inode& inode) {
  open_contents_.erase(inode.number);
  if (!inode.kept || !needs_upload(inode)) return;
  queue_.add({Kind::content, inode.number}, inode.current_size(), Clock::now(), true);
  wake_.notify();
}

void WriteBack::finish_idle(TimePoint now) {
  std::vector<InodeNo> old;
  for (const auto& [number, open] : open_contents_)
    if (now - open.last_write > options_.idle || now - open.since > options_.latest)
      old.push_back(number);
  for (auto number : old) {
    open_contents_.erase(number);
    if (auto* inode = tree_.find(number)) finish(*inode);
  }
}

}  // namespace lafs::cache
