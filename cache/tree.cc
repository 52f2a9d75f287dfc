// SPDX-License-Identifier: Apache-2.0
#include "cache/tree.h"

#include <algorithm>

#include "grid/crypto/hash.h"

namespace lafs::cache {

namespace {

// Numbers are 62 bits, so that no program takes them for negative; the smallest are for frontends.
InodeNo to_number(const grid::Hash32& hash) {
  return (get_be<std::uint64_t>(hash.data()) >> 2) | 0x100;
}

InodeNo computed_number(InodeNo directory, std::string_view name, std::uint64_t salt) {
  Bytes text;
  append_be<std::uint64_t>(text, directory);
  append_be<std::uint64_t>(text, salt);
  append(text, as_bytes(name));
  return to_number(grid::sha256(text));
}

bool on_grid(const Inode& inode) { return inode.cap && (!inode.content || inode.interim); }

}  // namespace

PutNode node_op(const Inode& inode) {
  return {inode.number, inode.directory, inode.parent, inode.name,
          inode.cap,    inode.facts,     inode.other};
}

// ------------------------------------------------------------------------------- looking

Inode* Tree::find(InodeNo number) const {
  auto it = inodes_.find(number);
  return it == inodes_.end() ? nullptr : it->second.get();
}

InodePtr Tree::share(InodeNo number) const {
  auto it = inodes_.find(number);
  return it == inodes_.end() ? nullptr : it->second;
}

const Tree::Names* Tree::pending_in(InodeNo directory) const {
  auto it = pending_.find(directory);
  return it == pending_.end() ? nullptr : &it->second;
}

const Pending* Tree::pending(InodeNo directory, std::string_view name) const {
  const auto* names = pending_in(directory);
  if (!names) return nullptr;
  auto it = names->find(name);
  return it == names->end() ? nullptr : &it->second;
}

std::vector<InodeNo> Tree::directories_with_changes() const {
  std::vector<InodeNo> out;
  for (const auto& [number, names] : pending_) out.push_back(number);
  return out;
}

std::vector<InodeNo> Tree::kept() const {
  std::vector<InodeNo> out;
  for (const auto& [number, inode] : inodes_)
    if (inode->kept) out.push_back(number);
  return out;
}

std::string Tree::path_of(const Inode& inode) const {
  std::string path;
  const Inode* at = &inode;
  for (int depth = 0; at && at->named() && depth < 4096; ++depth) {
    path = "/" + at->name + path;
    at = find(at->parent);
  }
  return path.empty() ? "/" : path;
}

// Going from `node` along what has to be published before it, `from` is met: they wait for each
// other (an exchange), and somebody has to begin.
bool Tree::on_its_way(InodeNo from, InodeNo node, std::set<InodeNo>& seen) const {
  if (node == from) return true;
  if (!seen.insert(node).second || seen.size() > 1000) return false;
  const auto* inode = find(node);
  if (!inode) return false;
  const auto* name = pending(inode->parent, inode->name);
  if (!name || name->node != node) return false;
  return std::ranges::any_of(name->moved,
                             [&](InodeNo next) { return on_its_way(from, next, seen); });
}

bool Tree::blocked(InodeNo directory, const Pending& change) const {
  for (auto moved : change.moved) {
    const auto* inode = find(moved);
    if (!inode || !inode->kept) continue;
    if (!inode->named()) {  // a directory that is being emptied
      if (pending_in(moved)) return true;
      continue;
    }
    const auto* name = pending(inode->parent, inode->name);
    if (!name || name->node != moved) continue;
    if (inode->parent == directory) continue;  // publishable() sees to it
    std::set<InodeNo> seen;
    if (change.node && on_its_way(change.node, moved, seen)) continue;
    return true;
  }
  return false;
}

std::vector<std::string> Tree::publishable(InodeNo directory, const NameSet& except) const {
  const auto* names = pending_in(directory);
  if (!names) return {};
  std::set<std::string_view> ready;
  for (const auto& [name, change] : *names) {
    const auto* inode = change.node ? find(change.node) : nullptr;
    if (change.node && !(inode && on_grid(*inode))) continue;
    if (except.contains(name)) continue;
    if (!blocked(directory, change)) ready.insert(name);
  }
  // What moves within the directory moves in one publish.
  for (bool again = true; again;) {
    again = false;
    for (auto it = ready.begin(); it != ready.end();) {
      const auto& change = names->find(*it)->second;
      const bool waits = std::ranges::any_of(change.moved, [&](InodeNo moved) {
        const auto* inode = find(moved);
        if (!inode || inode->parent != directory) return false;
        const auto* there = pending(directory, inode->name);
        return there && there->node == moved && !ready.contains(inode->name);
      });
      again = again || waits;
      it = waits ? ready.erase(it) : std::next(it);
    }
  }
  return {ready.begin(), ready.end()};
}

// ------------------------------------------------------------------------------- numbers

InodeNo Tree::root_number(const Cap& cap) {
  return to_number(grid::tagged_hash("lafs root", as_bytes(cap.text())));
}

InodeNo Tree::number_for(InodeNo directory, const std::string& name, bool fresh) const {
  if (!fresh) {
    auto it = numbers_.find({directory, name});
    if (it != numbers_.end()) {
      const auto* living = find(it->second);
      if (!living || (living->parent == directory && living->name == name)) return it->second;
    }
  }
  for (std::uint64_t salt = 0;; ++salt) {
    const auto number = computed_number(directory, name, salt);
    if (taken_.contains(number) || (fresh && retired_.contains(number))) continue;
    const auto* living = find(number);
    if (!living || (!fresh && living->parent == directory && living->name == name)) return number;
  }
}

void Tree::take_number(Record& out, InodeNo directory, const std::string& name,
                       InodeNo number) const {
  auto it = numbers_.find({directory, name});
  const bool own = it != numbers_.end();
  if (computed_number(directory, name, 0) == number) {
    if (own) out.push_back(Numbered{directory, name, 0});
  } else if (!own || it->second != number) {
    out.push_back(Numbered{directory, name, number});
  }
}

void Tree::leave_number(Record& out, InodeNo directory, const std::string& name) const {
  if (numbers_.contains({directory, name})) out.push_back(Numbered{directory, name, 0});
}

InodePtr Tree::make(InodeNo number) {
  auto& slot = inodes_[number];
  if (!slot) {
    slot = std::make_shared<Inode>();
    slot->number = number;
  }
  return slot;
}

void Tree::retire(InodeNo number) {
  // Whoever remembers a number over a million others that went after it may be surprised.
  if (retired_.size() >= 1'000'000) retired_.clear();
  retired_.insert(number);
}

void Tree::release(InodePtr inode) {
  if (!inode) return;
  auto it = inodes_.find(inode->number);
  if (it == inodes_.end() || it->second != inode || inode->kept) return;
  inode.reset();
  if (it->second.use_count() == 1) inodes_.erase(it);
}

// ------------------------------------------------------------------------------- applying

void Tree::apply(const Record& record) {
  for (const auto& op : record) std::visit([&](const auto& one) { apply_op(one); }, op);
}

void Tree::apply_op(const PutNode& op) {
  auto& inode = *make(op.number);
  if (inode.kept) {
    --kept_below_[inode.parent];
  } else {
    inode.kept = true;
    ++kept_count_;
  }
  ++kept_below_[op.parent];
  inode.directory = op.directory;
  inode.parent = op.parent;
  inode.name = op.name;
  if (inode.cap != op.cap) {
    inode.cap = op.cap;
    inode.size = op.cap ? op.cap->size().value_or(inode.size) : 0;
  }
  inode.facts = op.facts;
  inode.other = op.other;
  if (!restoring_) changed_nodes_.insert(op.number);
}

void Tree::apply_op(const ForgetNode& op) {
  auto it = inodes_.find(op.number);
  if (it == inodes_.end() || !it->second->kept) return;
  auto& inode = *it->second;
  inode.kept = false;
  inode.content.reset();
  inode.interim = false;
  --kept_count_;
  auto below = kept_below_.find(inode.parent);
  if (below != kept_below_.end() && --below->second == 0) kept_below_.erase(below);
  auto names = pending_.find(op.number);
  if (names != pending_.end()) {
    for (const auto& [name, change] : names->second) changed_names_.insert({op.number, name});
    pending_.erase(names);
  }
  changed_nodes_.insert(op.number);
  if (it->second.use_count() == 1) inodes_.erase(it);
}

void Tree::apply_op(const PutContent& op) {
  auto* inode = find(op.number);
  if (!inode || !inode->kept) return;
  inode->content = op.content;
  inode->interim = false;
  if (!restoring_) changed_nodes_.insert(op.number);
}

void Tree::apply_op(const Extent& op) {
  auto* inode = find(op.number);
  if (!inode || !inode->content) return;
  auto& staged = inode->content->staged;
  staged.local.add({op.offset, op.offset + op.length});
  staged.size = std::max(staged.size, op.offset + op.length);
  inode->facts.mtime = inode->facts.ctime = op.when;
  changed_nodes_.insert(op.number);
}

void Tree::apply_op(const Truncated& op) {
  auto* inode = find(op.number);
  if (!inode || !inode->content) return;
  auto& staged = inode->content->staged;
  staged.size = op.size;
  staged.inherited_size = std::min(staged.inherited_size, op.size);
  staged.local.remove({op.size, UINT64_MAX});
  inode->facts.mtime = inode->facts.ctime = op.when;
  changed_nodes_.insert(op.number);
}

void Tree::apply_op(const Stored& op) {
  auto* inode = find(op.number);
  if (!inode || !inode->kept) return;
  inode->cap = op.cap;
  if (op.all) {
    if (inode->content) inode->size = inode->content->staged.size;
    inode->content.reset();
  }
  inode->interim = !op.all;
  changed_nodes_.insert(op.number);
}

void Tree::apply_op(const PutPending& op) {
  auto& slot = pending_[op.directory][op.name];
  slot = op.pending;
  slot.change = ++last_change_;
  if (!restoring_) changed_names_.insert({op.directory, op.name});
}

void Tree::apply_op(const Settled& op) {
  auto names = pending_.find(op.directory);
  if (names == pending_.end()) return;
  names->second.erase(op.name);
  if (names->second.empty()) pending_.erase(names);
  changed_names_.insert({op.directory, op.name});
}

void Tree::apply_op(const Tried& op) {
  auto names = pending_.find(op.directory);
  if (names == pending_.end()) return;
  auto it = names->second.find(op.name);
  if (it == names->second.end()) return;
  auto& tried = it->second.tried;
  if (std::ranges::find(tried, op.cap) == tried.end()) tried.push_back(op.cap);
  changed_names_.insert({op.directory, op.name});
}

void Tree::apply_op(const Numbered& op) {
  const NameKey key{op.directory, op.name};
  auto it = numbers_.find(key);
  if (it != numbers_.end()) {
    taken_.erase(it->second);
    numbers_.erase(it);
  }
  if (op.number) {
    numbers_[key] = op.number;
    taken_.insert(op.number);
  }
  if (!restoring_) changed_numbers_.insert(key);
}

}  // namespace lafs::cache
