// SPDX-License-Identifier: Apache-2.0
#include "cache/tree.h"

#include <catch2/catch.hpp>
#include <random>

using namespace lafs;
using namespace lafs::cache;

namespace {

Cap lit(const std::string& text) { return Cap(grid::LitCap{to_bytes(text)}); }

// A tree with words to change it as a filesystem would. Directories `a` and `b` are on the grid.
struct World {
  Tree tree;
  InodePtr root = directory(nullptr, "");
  InodePtr a = directory(root, "a"), b = directory(root, "b");

  InodePtr directory(const InodePtr& parent, const std::string& name) {
    auto inode = tree.make(parent ? tree.number_for(parent->number, name) : 500);
    inode->directory = true;
    inode->parent = parent ? parent->number : 0;
    inode->name = name;
    inode->cap = lit("dir " + name);
    return inode;
  }
  InodePtr made(const InodePtr& parent, const std::string& name, std::optional<Cap> cap) {
    auto inode = tree.make(tree.number_for(parent->number, name, true));
    inode->parent = parent->number;
    inode->name = name;
    inode->cap = std::move(cap);
    return inode;
  }
  // New, not published.
  InodePtr create(const InodePtr& parent, const std::string& name,
                  std::optional<Cap> cap = lit("content")) {
    auto inode = made(parent, name, std::move(cap));
    tree.apply(tree.put(*inode, std::nullopt, false));
    return inode;
  }
  // Found on the grid.
  InodePtr known(const InodePtr& parent, const std::string& name) {
    return made(parent, name, lit("grid " + name));
  }
  void remove(const InodePtr& inode, std::optional<Cap> base) {
    tree.apply(tree.remove(*inode, base));
    inode->parent = 0;
  }
  void rename(const InodePtr& inode, const InodePtr& parent, const std::string& name,
              std::optional<Cap> base_from, std::optional<Cap> base_to = {},
              const Inode* replaced = nullptr) {
    Inode moved;
    moved.number = inode->number;
    moved.directory = inode->directory;
    moved.cap = inode->cap;
    moved.parent = parent->number;
    moved.name = name;
    tree.apply(tree.rename(*inode, moved, base_from, base_to, replaced));
  }
  std::vector<std::string> ready(const InodePtr& directory) {
    return tree.publishable(directory->number);
  }
  // Publishes what may be; `during` happens while that is under way.
  void publish(const InodePtr& directory, const std::function<void()>& during = {}) {
    std::vector<Tree::Outcome> outcomes;
    for (const auto& name : ready(directory)) {
      Tree::Outcome outcome{.name = name, .sent = *tree.pending(directory->number, name)};
      if (outcome.sent.node) outcome.cap = tree.find(outcome.sent.node)->cap;
      if (outcome.cap) tree.apply({Tried{directory->number, name, *outcome.cap}});
      outcomes.push_back(outcome);
    }
    if (during) during();
    tree.apply(tree.published(directory->number, outcomes));
    tree.apply(tree.forget_unused(directory->number));
  }
  std::size_t pending(const InodePtr& directory) {
    const auto* names = tree.pending_in(directory->number);
    return names ? names->size() : 0;
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("what is created and removed again leaves nothing to do") {
  World w;
  auto file = w.create(w.a, "f");
  CHECK(w.ready(w.a) == Names{"f"});
  w.remove(file, std::nullopt);
  CHECK(w.pending(w.a) == 0);
  CHECK(w.tree.forget_unused(w.a->number).size() == 2);  // the directory and the root above it
}

TEST_CASE("what is created and renamed is created under its last name") {
  World w;
  auto file = w.create(w.a, "f");
  w.rename(file, w.a, "g", std::nullopt);
  w.rename(file, w.b, "h", std::nullopt);
  CHECK(w.pending(w.a) == 0);
  CHECK(w.ready(w.b) == Names{"h"});
  CHECK(w.tree.number_for(w.b->number, "h") == file->number);
}

TEST_CASE("a name waits for its content") {
  World w;
  auto file = w.create(w.a, "f", std::nullopt);
  CHECK(w.ready(w.a).empty());
  Content content;
  content.staged.id = 1;
  w.tree.apply({PutContent{file->number, content}, Extent{file->number, 0, 5, {}}});
  CHECK(file->current_size() == 5);
  CHECK(w.ready(w.a).empty());
  w.tree.apply({Stored{file->number, lit("done"), true}});
  CHECK(w.ready(w.a) == Names{"f"});
  w.publish(w.a);
  CHECK(w.pending(w.a) == 0);
  CHECK(w.tree.kept_count() == 0);
}

TEST_CASE("across directories the new name comes before the old one goes") {
  World w;
  auto file = w.known(w.a, "f");
  w.rename(file, w.b, "g", file->cap);
  CHECK(w.ready(w.a).empty());
  CHECK(w.ready(w.b) == Names{"g"});
  SECTION("directly") {}
  SECTION("with a stop within the first directory") {
    // b/g -> a/h -> b/k: whatever way it went, a/f goes last.
    w.rename(file, w.a, "h", std::nullopt);
    CHECK(w.ready(w.a) == Names{"f", "h"});  // one publish
    w.rename(file, w.b, "k", std::nullopt);
    CHECK(w.ready(w.a).empty());
  }
  w.publish(w.b);
  CHECK(w.ready(w.a) == Names{"f"});
  w.publish(w.a);
  CHECK(w.tree.kept_count() == 0);
}

TEST_CASE("a name that is used again waits for what was there") {
  World w;
  auto old = w.known(w.a, "f");
  w.rename(old, w.b, "g", old->cap);
  auto fresh = w.create(w.a, "f");
  CHECK(fresh->number != old->number);
  CHECK(w.ready(w.a).empty());
  w.publish(w.b);
  CHECK(w.ready(w.a) == Names{"f"});
}

TEST_CASE("an exchange across directories does not wait for itself") {
  World w;
  auto x = w.known(w.a, "x"), y = w.known(w.b, "y");
  w.tree.apply(w.tree.exchange(*x, *y, x->cap, y->cap));
  CHECK(x->parent == w.b->number);
  CHECK(y->name == "x");
  CHECK((!w.ready(w.a).empty() || !w.ready(w.b).empty()));
  w.publish(w.a);
  w.publish(w.b);
  w.publish(w.a);
  CHECK(w.tree.kept_count() == 0);
}

TEST_CASE("what moved out of a directory is elsewhere before the directory goes") {
  World w;
  auto sub = w.known(w.a, "sub");
  sub->directory = true;
  auto file = w.known(sub, "f");
  w.rename(file, w.b, "g", file->cap);
  w.remove(sub, sub->cap);
  CHECK(w.ready(w.a).empty());
  w.publish(w.b);
  CHECK(w.ready(w.a).empty());
  // First the grid's directory is emptied, so that nobody else's entry goes with it.
  CHECK(w.ready(sub) == Names{"f"});
  w.publish(sub);
  CHECK(w.ready(w.a) == Names{"sub"});
  w.publish(w.a);
  CHECK(w.tree.kept_count() == 0);
}

TEST_CASE("a tree that the grid never had leaves nothing to do when it is removed") {
  World w;
  auto sub = w.create(w.a, "sub", std::nullopt);
  sub->directory = true;
  w.tree.apply(w.tree.put(*sub, std::nullopt, false));
  auto file = w.create(sub, "f");
  w.remove(file, std::nullopt);
  w.remove(sub, std::nullopt);
  CHECK(w.pending(w.a) == 0);
}

TEST_CASE("what changes while it is published is published again") {
  World w;
  auto file = w.create(w.a, "f");
  SECTION("removed: the grid has to be told") {
    w.publish(w.a, [&] { w.remove(file, std::nullopt); });
    REQUIRE(w.ready(w.a) == Names{"f"});
    CHECK(w.tree.pending(w.a->number, "f")->node == 0);
    CHECK(w.tree.pending(w.a->number, "f")->base == lit("content"));
    w.publish(w.a);
  }
  SECTION("renamed") {
    w.publish(w.a, [&] { w.rename(file, w.a, "g", std::nullopt); });
    CHECK(w.ready(w.a) == Names{"f", "g"});
    w.publish(w.a);
  }
  SECTION("removed before anybody knew that it was on its way") {
    const auto sent = *w.tree.pending(w.a->number, "f");
    w.remove(file, std::nullopt);
    CHECK(w.pending(w.a) == 0);
    w.tree.apply(
        w.tree.published(w.a->number, {{.name = "f", .sent = sent, .cap = lit("content")}}));
    REQUIRE(w.ready(w.a) == Names{"f"});
    CHECK(w.tree.pending(w.a->number, "f")->base == lit("content"));
    w.publish(w.a);
  }
  SECTION("moved to another directory: it is there before it goes here") {
    w.publish(w.a, [&] { w.rename(file, w.b, "g", std::nullopt); });
    CHECK(w.ready(w.a).empty());
    w.publish(w.b);
    REQUIRE(w.ready(w.a) == Names{"f"});
    w.publish(w.a);
  }
  SECTION("its attributes") {
    w.publish(w.a, [&] { w.tree.apply(w.tree.put(*file, std::nullopt, true)); });
    CHECK(w.ready(w.a) == Names{"f"});
    CHECK(w.tree.pending(w.a->number, "f")->base == lit("content"));
    w.publish(w.a);
  }
  SECTION("a publish that failed may have happened all the same") {
    w.tree.apply({Tried{w.a->number, "f", lit("content")}});
    w.remove(file, std::nullopt);
    CHECK(w.ready(w.a) == Names{"f"});
    w.publish(w.a);
  }
  CHECK(w.pending(w.a) == 0);
  CHECK(w.tree.kept_count() == 0);
}

TEST_CASE("attributes alone do not claim the content") {
  World w;
  auto file = w.known(w.a, "f");
  w.tree.apply(w.tree.put(*file, file->cap, true));
  w.tree.apply(w.tree.put(*file, file->cap, true));
  CHECK(w.tree.pending(w.a->number, "f")->facts_only);
  // Another writer's content came in between and was taken over; then ours is made on theirs.
  Content content;
  w.tree.apply(w.tree.start_content(*file, content, lit("theirs")));
  CHECK_FALSE(w.tree.pending(w.a->number, "f")->facts_only);
  CHECK(w.tree.pending(w.a->number, "f")->base == lit("theirs"));
}

TEST_CASE("ours is beside theirs under the name that the merge gave it") {
  World w;
  auto file = w.create(w.a, "f");
  const auto sent = *w.tree.pending(w.a->number, "f");
  Tree::Outcome outcome{.name = "f", .sent = sent, .cap = file->cap, .kept_as = "f.conflict"};
  SECTION("and that is all") {
    w.tree.apply(w.tree.published(w.a->number, {outcome}));
    CHECK(file->name == "f.conflict");
    CHECK(w.pending(w.a) == 0);
    CHECK(w.tree.number_for(w.a->number, "f.conflict") == file->number);
  }
  SECTION("changed meanwhile, it goes on there") {
    w.tree.apply(w.tree.put(*file, std::nullopt, true));
    w.tree.apply(w.tree.published(w.a->number, {outcome}));
    CHECK(w.ready(w.a) == Names{"f.conflict"});
  }
  SECTION("removed meanwhile, it is removed there, and theirs stays") {
    w.tree.apply({Tried{w.a->number, "f", *file->cap}});
    w.remove(file, std::nullopt);
    w.tree.apply(w.tree.published(w.a->number, {outcome}));
    CHECK(w.ready(w.a) == Names{"f", "f.conflict"});
    CHECK(w.tree.pending(w.a->number, "f.conflict")->base == file->cap);
    CHECK(w.tree.pending(w.a->number, "f")->base != file->cap);
  }
}

// ------------------------------------------------------------------------- property

namespace {

// Everything that a restart has to bring back, as text.
std::vector<std::string> dump(const Tree& tree) {
  std::vector<std::string> out;
  for (auto number : tree.kept()) {
    const auto* inode = tree.find(number);
    Record record{node_op(*inode)};
    if (inode->content) record.push_back(PutContent{number, *inode->content});
    out.push_back(to_hex(encode(record)));
  }
  for (auto directory : tree.directories_with_changes())
    for (const auto& [name, change] : *tree.pending_in(directory))
      out.push_back(to_hex(encode({PutPending{directory, name, change}})));
  std::ranges::sort(out);
  return out;
}

}  // namespace

TEST_CASE("a checkpoint and the records after it are the tree, whenever it stops") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    World w;
    std::vector<InodePtr> files;
    std::map<Bytes, Bytes> store;
    std::vector<Bytes> journal;
    auto commit = [&](const Record& record) {
      journal.push_back(encode(record));
      w.tree.apply(record);
    };
    auto roll = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    for (int step = 0; step < 80; ++step) {
      const auto& directory = roll(2) ? w.a : w.b;
      const auto name = std::string(1, static_cast<char>('a' + roll(4)));
      const auto* there = w.tree.pending(directory->number, name);
      auto taken = there && there->node ? w.tree.share(there->node) : nullptr;
      switch (roll(7)) {
        case 0:
          if (!taken) {
            auto inode = w.made(directory, name, roll(2) ? std::optional(lit("c")) : std::nullopt);
            commit(w.tree.put(*inode, std::nullopt, false));
          }
          break;
        case 1:
          if (taken) {
            commit(w.tree.remove(*taken, std::nullopt));
            taken->parent = 0;
          }
          break;
        case 2:
          if (taken && !taken->content) {
            Content content;
            content.staged.id = random();
            commit(w.tree.start_content(*taken, content, std::nullopt));
          }
          break;
        case 3:
          if (taken && taken->content)
            commit({Extent{taken->number, roll(1000), 1 + roll(99), {}}});
          break;
        case 4:
          if (taken && taken->content) commit({Stored{taken->number, lit("s"), roll(2) == 0}});
          break;
        case 5:
          if (taken) {
            const auto& to = roll(2) ? w.a : w.b;
            const auto to_name = std::string(1, static_cast<char>('a' + roll(4)));
            if (w.tree.pending(to->number, to_name)) break;
            Inode moved;
            moved.number = taken->number;
            moved.cap = taken->cap;
            moved.parent = to->number;
            moved.name = to_name;
            commit(w.tree.rename(*taken, moved, std::nullopt, std::nullopt, nullptr));
          }
          break;
        case 6: {
          std::vector<Tree::Outcome> outcomes;
          for (const auto& ready : w.ready(directory)) {
            Tree::Outcome outcome{.name = ready, .sent = *w.tree.pending(directory->number, ready)};
            if (outcome.sent.node) outcome.cap = w.tree.find(outcome.sent.node)->cap;
            outcomes.push_back(outcome);
          }
          commit(w.tree.published(directory->number, outcomes));
          commit(w.tree.forget_unused(directory->number));
          break;
        }
      }
      if (roll(10) == 0) {
        for (auto& [key, value] : w.tree.take_changes()) {
          if (value)
            store[key] = *value;
          else
            store.erase(key);
        }
        journal.clear();
      }
      Tree again;
      for (const auto& [key, value] : store) REQUIRE(again.restore(value).has_value());
      for (const auto& record : journal) again.apply(*decode(record));
      REQUIRE(dump(again) == dump(w.tree));
      // Once more: a record that is applied twice does no harm.
      if (!journal.empty()) {
        again.apply(*decode(journal.back()));
        REQUIRE(dump(again) == dump(w.tree));
      }
    }
  }
}
