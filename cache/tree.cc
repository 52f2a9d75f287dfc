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

std::vector<std::string> Tree::publishable(InodeNo directory) const {
  const auto* names = pending_in(directory);
  if (!names) return {};
  std::set<std::string_view> ready;
  for (const auto& [name, change] : *names) {
    const auto* inode = change.node ? find(change.node) : nullptr;
    if (change.node && !(inode && on_grid(*inode))) continue;
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

// ------------------------------------------------------------------------- what a change means

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

// ------------------------------------------------------------------------------- checkpoints

namespace {

Bytes node_key(InodeNo number) {
  Bytes key{'n'};
  append_be<std::uint64_t>(key, number);
  return key;
}

// Names are not to be read from the keys, which are not sealed.
Bytes name_key(char table, InodeNo directory, const std::string& name) {
  Bytes key{static_cast<std::uint8_t>(table)};
  append_be<std::uint64_t>(key, directory);
  append(key, ByteView(grid::sha256(as_bytes(name))).first(16));
  return key;
}

}  // namespace

std::vector<Store::Change> Tree::take_changes() {
  std::vector<Store::Change> out;
  out.reserve(changed_nodes_.size() + changed_names_.size() + changed_numbers_.size());
  for (auto number : changed_nodes_) {
    const auto* inode = find(number);
    std::optional<Bytes> value;
    if (inode && inode->kept) {
      Record record{node_op(*inode)};
      if (inode->content) record.push_back(PutContent{number, *inode->content});
      value = encode(record);
    }
    out.push_back({node_key(number), std::move(value)});
  }
  for (const auto& [directory, name] : changed_names_) {
    const auto* change = pending(directory, name);
    std::optional<Bytes> value;
    if (change) value = encode({PutPending{directory, name, *change}});
    out.push_back({name_key('p', directory, name), std::move(value)});
  }
  for (const auto& key : changed_numbers_) {
    auto it = numbers_.find(key);
    std::optional<Bytes> value;
    if (it != numbers_.end()) value = encode({Numbered{key.directory, key.name, it->second}});
    out.push_back({name_key('i', key.directory, key.name), std::move(value)});
  }
  changed_nodes_.clear();
  changed_names_.clear();
  changed_numbers_.clear();
  return out;
}

void Tree::mend(std::vector<std::string>& warnings) {
  Record record;
  for (const auto& [directory, names] : pending_) {
    const bool lost = !find(directory);
    for (const auto& [name, change] : names) {
      if (!lost && (change.node == 0 || find(change.node))) continue;
      warnings.push_back("the change of \"" + name + "\" cannot be finished: what it was is lost");
      record.push_back(Settled{directory, name});
    }
  }
  apply(record);
  record.clear();
  for (const auto& [number, inode] : inodes_) {
    if (!inode->content) continue;
    const auto* name = pending(inode->parent, inode->name);
    if (name && name->node == number) continue;
    // Written, but the record of its name is lost.
    auto again = put(*inode, inode->cap, false);
    record.insert(record.end(), again.begin(), again.end());
  }
  apply(record);
}

Result<> Tree::restore(ByteView value) {
  TRY(record, decode(value));
  restoring_ = true;
  apply(record);
  restoring_ = false;
  return {};
}

}  // namespace lafs::cache
