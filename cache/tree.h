// SPDX-License-Identifier: Apache-2.0
#pragma once

// The model of the write path: what was acknowledged and is not (all) on the grid yet. Plain and
// synchronous: the first half says what a change means, as a Record; the second half applies one,
// live or from the journal. Nothing changes but through apply(), so that what a restart finds is
// what was there.
//
// A directory as people see it is the grid's snapshot with pending(directory, name) laid over it.
// Kept inodes are those with changes of their own, and all directories above them.
//
// `base` arguments: the cap that the snapshot has under the name, or nothing when it has no such
// name. They count only for names without pending changes.

#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "cache/record.h"
#include "cache/store.h"

namespace lafs::cache {

class Tree {
 public:
  using Names = std::map<std::string, Pending, std::less<>>;

  // --- looking
  Inode* find(InodeNo number) const;
  InodePtr share(InodeNo number) const;  // null when not known
  const Pending* pending(InodeNo directory, std::string_view name) const;
  const Names* pending_in(InodeNo directory) const;  // null: nothing
  std::vector<InodeNo> directories_with_changes() const;
  std::vector<InodeNo> kept() const;
  std::size_t kept_count() const { return kept_count_; }
  // From the root, for people.
  std::string path_of(const Inode& inode) const;
  // The names of a directory that may be published now: what they stand for is on the grid, and
  // what was there before is, or will be in the same publish, elsewhere. None of `except`.
  using NameSet = std::set<std::string, std::less<>>;
  std::vector<std::string> publishable(InodeNo directory, const NameSet& except = {}) const;

  // --- numbers
  // The number that a name has or gets; `fresh`: for something new, so not that of a living inode.
  InodeNo number_for(InodeNo directory, const std::string& name, bool fresh = false) const;
  static InodeNo root_number(const Cap& cap);
  // A new inode in memory, or the one that is there. Not kept, nothing journaled.
  InodePtr make(InodeNo number);
  // What had this number has lost its name: no new name gets the number while this process lives.
  void retire(InodeNo number);
  // Nobody uses it any more: forgotten unless it is kept.
  void release(InodePtr inode);

  // --- what a change means
  // `wanted` stands for its name in its parent from now on, new or changed. `facts_only`: only its
  // facts are changed.
  Record put(const Inode& wanted, const std::optional<Cap>& base, bool facts_only) const;
  // Changed content for an inode that has none.
  Record start_content(const Inode& inode, Content content, const std::optional<Cap>& base) const;
  // A directory of the grid that was emptied by us stays, nameless, until the grid's is empty too;
  // only then does its name go.
  Record remove(const Inode& inode, const std::optional<Cap>& base) const;
  // `moved` as it is to be: new parent and name. `replaced` may be null.
  Record rename(const Inode& before, const Inode& moved, const std::optional<Cap>& base_from,
                const std::optional<Cap>& base_to, const Inode* replaced) const;
  Record exchange(const Inode& a, const Inode& b, const std::optional<Cap>& base_a,
                  const std::optional<Cap>& base_b) const;

  // What became of a name that was published as `sent`.
  struct Outcome {
    std::string name;
    Pending sent;
    std::optional<Cap> cap;                       // what was published; nothing: removed
    std::optional<grid::VersionId> emptied = {};  // of the directory that was removed
    std::string kept_as = {};  // ours is under this name, another writer's under the old one
  };
  // Names that were changed again since stay pending.
  Record published(InodeNo directory, const std::vector<Outcome>& outcomes) const;
  // Directories that are kept only because of what was below them.
  Record forget_unused(InodeNo directory) const;

  // --- applying
  void apply(const Record& record);

  // --- checkpoints
  // Everything that changed since the last call (or since the start), for Store::checkpoint().
  std::vector<Store::Change> take_changes();
  // After damage: what hangs in the air is given a name, or let go; says what was done.
  void mend(std::vector<std::string>& warnings);
  // One value of the store.
  Result<> restore(ByteView value);

 private:
  void apply_op(const PutNode& op);
  void apply_op(const ForgetNode& op);
  void apply_op(const PutContent& op);
  void apply_op(const Extent& op);
  void apply_op(const Truncated& op);
  void apply_op(const Stored& op);
  void apply_op(const PutPending& op);
  void apply_op(const Settled& op);
  void apply_op(const Tried& op);
  void apply_op(const Numbered& op);

  void keep_chain(Record& out, InodeNo number) const;
  void vanish(Record& out, const Inode& inode, Pending& name) const;
  void set_name(Record& out, InodeNo directory, const std::string& name, Pending pending) const;
  // What the pending change of a name is made on.
  Pending start(InodeNo directory, const std::string& name, const std::optional<Cap>& base) const;
  void leave_number(Record& out, InodeNo directory, const std::string& name) const;
  void take_number(Record& out, InodeNo directory, const std::string& name, InodeNo number) const;

  bool in_use(const Inode& directory) const;
  bool blocked(InodeNo directory, const Pending& pending) const;
  bool on_its_way(InodeNo from, InodeNo node, std::set<InodeNo>& seen) const;
  void keep(Inode& inode);

  struct NameKey {
    InodeNo directory;
    std::string name;
    auto operator<=>(const NameKey&) const = default;
  };
  std::unordered_map<InodeNo, InodePtr> inodes_;
  std::unordered_map<InodeNo, Names> pending_;
  std::map<NameKey, InodeNo> numbers_;  // where they are not what number_for() computes
  std::unordered_set<InodeNo> taken_;   // values of numbers_
  std::unordered_set<InodeNo> retired_;
  std::unordered_map<InodeNo, std::size_t> kept_below_;  // kept inodes by their parent
  std::size_t kept_count_ = 0;
  std::uint64_t last_change_ = 0;
  bool restoring_ = false;
  // What the store does not have.
  std::unordered_set<InodeNo> changed_nodes_;
  std::set<NameKey> changed_names_, changed_numbers_;
};

PutNode node_op(const Inode& inode);

}  // namespace lafs::cache
