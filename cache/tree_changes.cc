// SPDX-License-Identifier: Apache-2.0

// Tree: what a change means, as a record.

#include <algorithm>

#include "cache/tree.h"

namespace lafs::cache {

void Tree::keep_chain(Record& out, InodeNo number) const {
  for (const auto* at = find(number); at && !at->kept; at = find(at->parent))
    out.push_back(node_op(*at));
}

Pending Tree::start(InodeNo directory, const std::string& name,
                    const std::optional<Cap>& base) const {
  if (const auto* there = pending(directory, name)) {
    auto out = *there;
    // Until now whatever others put there was welcome.
    if (out.facts_only && base) out.base = base;
    return out;
  }
  Pending fresh;
  fresh.base = base;
  fresh.facts_only = true;
  return fresh;
}

// A name that the grid never had stands for nothing again: there is nothing to tell it.
void Tree::set_name(Record& out, InodeNo directory, const std::string& name, Pending change) const {
  const bool unknown_to_grid = !change.base && change.tried.empty();
  if (unknown_to_grid) change.moved.clear();
  if (change.node == 0 && unknown_to_grid) {
    if (pending(directory, name)) out.push_back(Settled{directory, name});
    return;
  }
  out.push_back(PutPending{directory, name, std::move(change)});
}

Record Tree::put(const Inode& wanted, const std::optional<Cap>& base, bool facts_only) const {
  Record out;
  keep_chain(out, wanted.parent);
  out.push_back(node_op(wanted));
  auto change = start(wanted.parent, wanted.name, base);
  change.facts_only = change.facts_only && facts_only;
  change.node = wanted.number;
  set_name(out, wanted.parent, wanted.name, std::move(change));
  take_number(out, wanted.parent, wanted.name, wanted.number);
  return out;
}

Record Tree::start_content(const Inode& inode, Content content,
                           const std::optional<Cap>& base) const {
  auto out = put(inode, base, false);
  out.push_back(PutContent{inode.number, std::move(content)});
  return out;
}

namespace {
void add_all(std::vector<InodeNo>& to, const std::vector<InodeNo>& more) {
  for (auto one : more)
    if (std::ranges::find(to, one) == to.end()) to.push_back(one);
}
}  // namespace

// What `name` stood for is no more.
void Tree::vanish(Record& out, const Inode& inode, Pending& name) const {
  if (!inode.kept) return;
  const auto* names = pending_in(inode.number);
  if (inode.directory && inode.cap && names) {
    auto nameless = node_op(inode);
    nameless.parent = 0;
    nameless.name.clear();
    out.push_back(std::move(nameless));
    add_all(name.moved, {inode.number});
    return;
  }
  // What moved out of a directory that the grid never had.
  if (names)
    for (const auto& [below, change] : *names) add_all(name.moved, change.moved);
  out.push_back(ForgetNode{inode.number});
}

Record Tree::remove(const Inode& inode, const std::optional<Cap>& base) const {
  Record out;
  keep_chain(out, inode.parent);
  auto change = start(inode.parent, inode.name, base);
  change.node = 0;
  change.facts_only = false;
  vanish(out, inode, change);
  set_name(out, inode.parent, inode.name, std::move(change));
  leave_number(out, inode.parent, inode.name);
  return out;
}

Record Tree::rename(const Inode& before, const Inode& moved, const std::optional<Cap>& base_from,
                    const std::optional<Cap>& base_to, const Inode* replaced) const {
  Record out;
  keep_chain(out, before.parent);
  keep_chain(out, moved.parent);
  auto to = start(moved.parent, moved.name, base_to);
  to.node = moved.number;
  to.facts_only = false;
  if (replaced) vanish(out, *replaced, to);
  auto from = start(before.parent, before.name, base_from);
  from.node = 0;
  from.facts_only = false;
  add_all(from.moved, {moved.number});
  out.push_back(node_op(moved));
  set_name(out, moved.parent, moved.name, std::move(to));
  set_name(out, before.parent, before.name, std::move(from));
  leave_number(out, before.parent, before.name);
  take_number(out, moved.parent, moved.name, moved.number);
  return out;
}

Record Tree::exchange(const Inode& a, const Inode& b, const std::optional<Cap>& base_a,
                      const std::optional<Cap>& base_b) const {
  Record out;
  keep_chain(out, a.parent);
  keep_chain(out, b.parent);
  auto put = [&](const Inode& who, const Inode& place, const std::optional<Cap>& base) {
    auto change = start(place.parent, place.name, base);
    change.node = who.number;
    change.facts_only = false;
    add_all(change.moved, {place.number});
    auto op = node_op(who);
    op.parent = place.parent;
    op.name = place.name;
    out.push_back(std::move(op));
    set_name(out, place.parent, place.name, std::move(change));
    take_number(out, place.parent, place.name, who.number);
  };
  put(a, b, base_b);
  put(b, a, base_a);
  return out;
}

Record Tree::published(InodeNo directory, const std::vector<Outcome>& outcomes) const {
  Record out;
  for (const auto& outcome : outcomes) {
    const auto* now = pending(directory, outcome.name);
    if (!now) {
      // It was new, and removed while it was on its way.
      if (!outcome.cap) continue;
      Pending gone;
      gone.base = outcome.cap;
      keep_chain(out, directory);
      out.push_back(PutPending{directory, outcome.kept_as.empty() ? outcome.name : outcome.kept_as,
                               std::move(gone)});
      continue;
    }
    const auto* inode = now->node ? find(now->node) : nullptr;
    const bool changed = now->change != outcome.sent.change || (inode && inode->content);
    auto settle = [&](const std::string& name) {
      out.push_back(Settled{directory, name});
      if (inode && inode->kept && !inode->content && !(inode->directory && in_use(*inode)))
        out.push_back(ForgetNode{inode->number});
    };
    if (!outcome.kept_as.empty()) {
      // Another writer's is under the name, ours beside it.
      const auto& aside = outcome.kept_as;
      if (now->node != outcome.sent.node) {
        // Meanwhile the name was given to something else, and ours is to vanish.
        Pending gone;
        gone.base = outcome.cap;
        out.push_back(PutPending{directory, aside, std::move(gone)});
        continue;
      }
      if (inode) {
        auto op = node_op(*inode);
        op.name = aside;
        out.push_back(std::move(op));
        leave_number(out, directory, outcome.name);
        take_number(out, directory, aside, inode->number);
      }
      out.push_back(Settled{directory, outcome.name});
      if (changed) {
        Pending rest = *now;
        rest.base = outcome.cap;
        rest.tried.clear();
        rest.moved.clear();
        out.push_back(PutPending{directory, aside, std::move(rest)});
      } else if (inode && !(inode->directory && in_use(*inode))) {
        out.push_back(ForgetNode{inode->number});
      }
      continue;
    }
    // (A removal that theirs outlived is settled all the same; what is put under the name later
    // does not know theirs, and so is kept beside it.)
    if (!changed) {
      settle(outcome.name);
      continue;
    }
    Pending rest = *now;
    rest.base = outcome.cap;
    rest.tried.clear();
    // What left the name while it was published has to be elsewhere first, too.
    std::erase_if(rest.moved, [&](InodeNo moved) {
      const auto* left = find(moved);
      return !left || !left->kept;
    });
    if (rest.node == 0 && !rest.base)
      settle(outcome.name);
    else
      out.push_back(PutPending{directory, outcome.name, std::move(rest)});
  }
  return out;
}

bool Tree::in_use(const Inode& directory) const {
  if (pending_in(directory.number)) return true;
  auto below = kept_below_.find(directory.number);
  return below != kept_below_.end() && below->second > 0;
}

Record Tree::forget_unused(InodeNo number) const {
  Record out;
  std::size_t leaving = 0;  // of the kept ones below
  for (const auto* at = find(number); at && at->kept && at->directory; at = find(at->parent)) {
    if (out.size() > 4096) break;  // what a damaged journal put below itself
    if (pending_in(at->number)) break;
    auto below = kept_below_.find(at->number);
    if (below != kept_below_.end() && below->second > leaving) break;
    if (at->named()) {
      const auto* name = pending(at->parent, at->name);
      if (name && name->node == at->number) break;
    }
    out.push_back(ForgetNode{at->number});
    leaving = 1;
  }
  return out;
}

}  // namespace lafs::cache
