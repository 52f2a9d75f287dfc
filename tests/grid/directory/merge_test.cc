// SPDX-License-Identifier: Apache-2.0
// Edits that meet somebody else's: the table of WHAT follows from what was seen and what is there.

#include <catch2/catch.hpp>
#include <set>

#include "grid/directory/edits.h"
#include "grid/directory/names.h"

using namespace lafs;
using namespace lafs::grid;

namespace {

using What = Conflict::What;
constexpr double now = 1763971200;  // 2025-11-24T08:00:00Z

Cap lit(std::string_view text) { return Cap(LitCap{to_bytes(text)}); }

TableKind kind() {
  TableKind out;
  out.write_key = Key16();
  return out;
}

Entries table(const std::map<std::string, std::string>& children) {
  Entries out(kind());
  for (const auto& [name, text] : children) out.set(name, ChildCaps::of(lit(text)), Metadata());
  return out.packed();
}

std::map<std::string, std::string> seen(const Entries& entries) {
  std::map<std::string, std::string> out;
  for (const auto& child : Listing({}, entries.packed()).children()) {
    out[child.name] = to_text(child.cap.as<LitCap>()->data);
  }
  return out;
}

using Children = std::map<std::string, std::string>;

struct Outcome {
  Children children;
  std::vector<Conflict> conflicts;
};

// What comes out when the table is `theirs` by the time our edits arrive.
Outcome merged(const Children& theirs, std::vector<Edit> ours) {
  EditBatch batch(std::move(ours), {.now = now, .host = "desk"});
  const auto out = batch.apply(table(theirs));
  REQUIRE(out);
  const auto first = seen(*out);
  const auto conflicts = batch.conflicts();
  // A publish that was carried out although we were told of a collision changes nothing more.
  const auto again = batch.apply(*out);
  REQUIRE(again);
  CHECK(seen(*again) == first);
  return {first, conflicts};
}

Edit set(std::string name, std::string_view text, std::optional<std::string_view> base = {}) {
  Edit::Set out{std::move(name), lit(text)};
  out.merge = true;
  if (base) out.expected = lit(*base);
  return out;
}
Edit remove(std::string name, std::string_view base) {
  return Edit::Remove{.name = std::move(name), .expected = lit(base), .merge = true};
}
Edit rename(std::string from, std::string to, std::string_view base,
            std::optional<std::string_view> target = {}) {
  Edit::Rename out{std::move(from), std::move(to)};
  out.merge = true;
  out.expected = lit(base);
  if (target) out.expected_target = lit(*target);
  return out;
}

const std::string aside = ".conflict-desk-20251124T080000Z";

}  // namespace

TEST_CASE("two who change one name both keep theirs") {
  auto out = merged({{"f", "theirs"}}, {set("f", "ours", "base")});
  CHECK(out.children == Children{{"f", "theirs"}, {"f" + aside, "ours"}});
  CHECK(out.conflicts == std::vector<Conflict>{{0, What::both_changed, "f", "f" + aside}});
  // Both made it new.
  out = merged({{"f", "theirs"}}, {set("f", "ours")});
  CHECK(out.children == Children{{"f", "theirs"}, {"f" + aside, "ours"}});
  // The same content is no conflict, nor is a name that is as we saw it, or gone.
  CHECK(merged({{"f", "ours"}}, {set("f", "ours", "base")}).conflicts.empty());
  out = merged({{"f", "base"}, {"g", "x"}}, {set("f", "ours", "base"), set("h", "new", "old")});
  CHECK(out.children == Children{{"f", "ours"}, {"g", "x"}, {"h", "new"}});
  CHECK(out.conflicts.empty());
}

TEST_CASE("a change beats a removal") {
  auto out = merged({{"f", "theirs"}}, {remove("f", "base")});
  CHECK(out.children == Children{{"f", "theirs"}});
  CHECK(out.conflicts == std::vector<Conflict>{{0, What::theirs_stays, "f", ""}});
  CHECK(merged({{"f", "base"}}, {remove("f", "base")}).children.empty());
  out = merged({}, {remove("f", "base")});
  CHECK(out.conflicts.empty());
}

TEST_CASE("a rename takes what is there now, and never takes a name away") {
  CHECK(merged({{"a", "theirs"}}, {rename("a", "b", "base")}).children ==
        Children{{"b", "theirs"}});
  auto out = merged({{"a", "base"}, {"b", "theirs"}}, {rename("a", "b", "base")});
  CHECK(out.children == Children{{"b", "theirs"}, {"b" + aside, "base"}});
  CHECK(out.conflicts == std::vector<Conflict>{{0, What::name_taken, "b", "b" + aside}});
  CHECK(merged({{"a", "base"}, {"b", "old"}}, {rename("a", "b", "base", "old")}).children ==
        Children{{"b", "base"}});
  // They removed it: what we gave a new name to is not lost.
  out = merged({}, {rename("a", "b", "base")});
  CHECK(out.children == Children{{"b", "base"}});
  CHECK(out.conflicts == std::vector<Conflict>{{0, What::source_gone, "a", "b"}});
  // Carried out in an earlier life.
  out = merged({{"b", "base"}}, {rename("a", "b", "base")});
  CHECK(out.children == Children{{"b", "base"}});
  CHECK(out.conflicts.empty());
}

TEST_CASE("later edits of a batch follow what was put aside") {
  auto out = merged({{"f", "theirs"}}, {set("f", "1", "base"), set("f", "2", "1")});
  CHECK(out.children == Children{{"f", "theirs"}, {"f" + aside, "2"}});
  out = merged({{"f", "theirs"}}, {set("f", "1", "base"), rename("f", "g", "1")});
  CHECK(out.children == Children{{"f", "theirs"}, {"g", "1"}});
  out = merged({{"f", "theirs"}}, {set("f", "1", "base"), remove("f", "1")});
  CHECK(out.children == Children{{"f", "theirs"}});
}

TEST_CASE("metadata of ours go to content of theirs") {
  Edit::SetMetadata change{"f", [](Metadata m) {
                             grid::set(m.object(), "note", Json("ours"));
                             return m;
                           }};
  EditBatch batch({change, Edit::SetMetadata{"gone", change.change, false}}, {.now = now});
  const auto out = batch.apply(table({{"f", "theirs"}}));
  REQUIRE(out);
  CHECK(seen(*out) == Children{{"f", "theirs"}});
  CHECK(*find(out->find("f")->metadata().object(), "note") == Json("ours"));
}

TEST_CASE("conflict names are never too long, never taken, and whole characters") {
  std::string name;
  while (name.size() < 250) name += "\u00e9";
  const EditOptions options{.now = now, .host = "desk"};
  std::set<std::string, std::less<>> taken;
  for (int i = 0; i < 12; ++i) {
    const auto made =
        conflict_name(name, options, [&](std::string_view n) { return taken.contains(n); });
    CHECK(made.size() <= 255);
    CHECK(normalise_name(made));
    CHECK(taken.insert(made).second);
  }
  // Put aside in an earlier life, at another time: not once more.
  auto out = merged({{"f", "theirs"}, {"f.conflict-desk-20240101T000000Z", "ours"}},
                    {set("f", "ours", "base")});
  CHECK(out.children.size() == 2);
}

TEST_CASE("a table keeps count of what changes in it") {
  auto t = table({{"a", "1"}, {"b", "2"}});
  CHECK(t.size() == 2);
  t.remove("a");
  t.remove("a");
  CHECK(t.size() == 1);
  t.set("a", ChildCaps::of(lit("3")), Metadata());
  t.set("c", ChildCaps::of(lit("4")), Metadata());
  t.set("c", ChildCaps::of(lit("5")), Metadata());
  CHECK(t.size() == 3);
  CHECK(t.packed().size() == 3);
  CHECK(*t.name_from("b") == "b");
  t.remove("c");
  t.remove("b");
  CHECK(t.size() == 1);
  CHECK_FALSE(t.name_from("b"));
  CHECK(seen(t) == Children{{"a", "3"}});
}

TEST_CASE("what our own earlier attempts left counts as seen") {
  Edit::Set again{"f", lit("3")};
  again.merge = true;
  again.ours = {lit("1"), lit("2")};
  auto out = merged({{"f", "2"}}, {again});
  CHECK(out.children == Children{{"f", "3"}});
  CHECK(out.conflicts.empty());
  Edit::Remove gone{.name = "f", .expected = lit("0"), .merge = true, .ours = {lit("2")}};
  CHECK(merged({{"f", "2"}}, {gone}).children.empty());
  EditBatch batch({gone, Edit::Set{"bad\xff", lit("x")}}, {.now = now});
  CHECK_FALSE(batch.apply(table({})));
  CHECK(batch.failed_at() == 1);
}
