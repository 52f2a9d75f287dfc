// SPDX-License-Identifier: Apache-2.0

// WriteBack: new directories and changed names on their way to the grid.

#include <algorithm>

#include "cache/health.h"
#include "cache/write_back.h"
#include "grid/base/log.h"

namespace lafs::cache {

namespace {

constexpr std::size_t names_per_record = 1000;  // of Tried
constexpr std::size_t most_left_out = 100;      // of one publish, before it is given up

bool grid_away(Errc code) {
  return code == Errc::unreachable || code == Errc::timed_out || code == Errc::no_servers;
}

bool fault_of_one_name(Errc code) {
  return code == Errc::bad_name || code == Errc::bad_cap || code == Errc::bad_argument;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Task<Result<>> WriteBack::make_directory(InodeNo number) {
  auto inode = tree_.share(number);
  if (!inode || !inode->kept || inode->cap) co_return Result<>{};
  std::vector<Tree::Outcome> outcomes;
  auto children = first_children(*inode, outcomes);
  const std::optional<grid::MutableFormat> usual;
  auto made = co_await client_.client().create_directory(children, usual);
  if (!made && fault_of_one_name(made.error().code)) {
    // Which one shows when they are published.
    children.clear();
    outcomes.clear();
    made = co_await client_.client().create_directory(children, usual);
  }
  CO_TRY(cap, std::move(made));
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

Task<WriteBack::Emptied> WriteBack::look_into_removed(InodeNo directory, LeftOut& left_out) {
  Emptied out;
  for (const auto& name : tree_.publishable(directory)) {
    const auto* change = tree_.pending(directory, name);
    if (!change || !removes_directory(*change)) continue;
    const auto cap = *change->base;
    auto listing = co_await list(cap);
    if (listing) {
      out[name];
      if (listing->empty()) out[name] = listing->version;
      continue;
    }
    // What nobody can read any more holds nothing that a removal could take.
    const auto why = listing.error().code;
    const bool lost = co_await cache::lost(client_.client(), cap, why);
    if (lost) {
      out[name] = grid::VersionId{};
      continue;
    }
    left_out.names.insert(name);
    left_out.why = annotate(std::move(listing).error(), "looking into " + name).error();
    // The others would not answer either; what was not looked into is not removed.
    if (grid_away(why)) break;
  }
  co_return out;
}

Task<Result<grid::Listing>> WriteBack::list(Cap cap) {
  CO_TRY(directory, co_await client_.client().directory(std::move(cap)));
  co_return co_await directory->list();
}

WriteBack::Batch WriteBack::batch_for(const Inode& directory, const Emptied& emptied,
                                      const LeftOut& left_out) {
  Batch out;
  for (auto& name : tree_.publishable(directory.number, left_out.names)) {
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
        out.outcomes.push_back(std::move(outcome));
        continue;
      }
    }
    if (sent.node == 0) {
      grid::Edit::Remove edit{.name = name, .must_exist = false, .expected = sent.base};
      edit.merge = true;
      edit.ours = sent.tried;
      if (!edit.expected && !edit.ours.empty()) edit.expected = edit.ours.back();
      out.edits.push_back(std::move(edit));
    } else {
      const auto& inode = *tree_.find(sent.node);
      outcome.cap = inode.cap;
      if (sent.facts_only) {
        auto change = [facts = inode.facts](Metadata theirs) {
          theirs.set_posix(facts);
          return theirs;
        };
        out.edits.push_back(
            grid::Edit::SetMetadata{.name = name, .change = change, .must_exist = false});
      } else {
        grid::Edit::Set edit{.name = name, .cap = *inode.cap, .metadata = metadata_of(inode)};
        edit.merge = true;
        edit.expected = sent.base;
        edit.ours = sent.tried;
        out.edits.push_back(std::move(edit));
      }
    }
    out.of.push_back(out.outcomes.size());
    out.outcomes.push_back(std::move(outcome));
  }
  return out;
}

// Before anything of ours can be there: what is found later is known to be ours.
Task<Result<>> WriteBack::note_attempt(InodeNo directory,
                                       const std::vector<Tree::Outcome>& outcomes) {
  Record attempt;
  for (const auto& outcome : outcomes) {
    if (!outcome.cap || outcome.sent.facts_only) continue;
    attempt.push_back(Tried{directory, outcome.name, *outcome.cap});
    if (attempt.size() < names_per_record) continue;
    CO_TRY_DO(commit(attempt));
    attempt.clear();
  }
  CO_TRY_DO(commit(attempt));
  // What others may see from now on is never forgotten here, not even with the power.
  co_return co_await sync();
}

void WriteBack::note_conflicts(const Inode& directory, const std::vector<grid::Conflict>& conflicts,
                               Batch& batch) {
  for (const auto& conflict : conflicts) {
    auto& outcome = batch.outcomes[batch.of.at(conflict.edit)];
    ++conflicts_;
    if (conflict.kept_as.empty()) {
      log::warning(tree_.path_of(directory) + ": " + outcome.name +
                   " was changed by somebody else and is not removed");
      continue;
    }
    outcome.kept_as = conflict.kept_as;
    log::warning(tree_.path_of(directory) + ": " + outcome.name +
                 " was changed by somebody else as well; ours is " + outcome.kept_as);
  }
}

Task<Result<bool>> WriteBack::publish_batch(Inode& directory, CachedDirectory& on_grid,
                                            Batch& batch, LeftOut& left_out) {
  CO_TRY_DO(co_await note_attempt(directory.number, batch.outcomes));
  if (!batch.edits.empty()) {
    grid::EditOptions options{.now = seconds_now(), .host = options_.host};
    auto edits = batch.edits;
    std::optional<std::size_t> failed;  // when one of them is at fault, and not the grid
    auto met = co_await on_grid.publish(std::move(edits), options, &failed);
    if (!met && failed && left_out.names.size() < most_left_out) {
      const auto& name = batch.outcomes[batch.of.at(*failed)].name;
      left_out.names.insert(name);
      left_out.why = annotate(std::move(met).error(), name).error();
      co_return false;
    }
    if (!met) co_return std::unexpected(std::move(met).error());
    note_conflicts(directory, *met, batch);
  }
  for (const auto& outcome : batch.outcomes) {
    auto* inode = outcome.sent.node ? tree_.find(outcome.sent.node) : nullptr;
    if (inode && inode->cap == outcome.cap) inode->interim = false;
  }
  ++done_publishes_;
  CO_TRY_DO(settle(directory, batch.outcomes));
  co_return true;
}

Result<> WriteBack::forget_names(InodeNo directory) {
  Record record;
  if (const auto* names = tree_.pending_in(directory))
    for (const auto& [name, change] : *names) record.push_back(Settled{directory, name});
  TRY_DO(commit(record));
  return commit(tree_.forget_unused(directory));
}

Task<Result<>> WriteBack::publish(InodeNo number) {
  auto inode = tree_.share(number);
  if (!inode || !inode->cap || !tree_.pending_in(number)) co_return Result<>{};
  CO_TRY(directory, co_await client_.directory(*inode->cap));
  LeftOut left_out;
  const auto emptied = co_await look_into_removed(number, left_out);
  Batch batch;
  for (bool published = false; !published;) {
    // From here to the record of the attempt nothing else can happen.
    batch = batch_for(*inode, emptied, left_out);
    if (const auto* names = tree_.pending_in(number)) {
      for (const auto& [name, change] : *names)
        if (!change.moved.empty()) waiting_for_others_.insert(number);
    }
    if (batch.outcomes.empty()) break;
    auto done = co_await publish_batch(*inode, *directory, batch, left_out);
    if (!done && !inode->named() && number != Tree::root_number(*inode->cap)) {
      // A removed directory that is to be emptied first: not when there is nothing left of it.
      const auto why = done.error().code;
      const bool lost = co_await cache::lost(client_.client(), *inode->cap, why);
      if (lost) co_return forget_names(number);
    }
    if (!done) co_return std::unexpected(std::move(done).error());
    published = *done;
  }
  if (!batch.outcomes.empty()) {
    co_await look_after(inode, std::move(batch.outcomes));
    const auto now = Clock::now();
    if (tree_.pending_in(number)) queue_.add({Kind::names, number}, 0, now, true);
    for (auto other : std::exchange(waiting_for_others_, {}))
      if (other != number) queue_.add({Kind::names, other}, 0, now, false);
  }
  // Those around it are published; it is tried again like any other failure.
  if (left_out.why) co_return std::unexpected(std::move(*left_out.why));
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
    if (!outcome.emptied || *outcome.emptied == grid::VersionId{}) continue;
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

}  // namespace lafs::cache
