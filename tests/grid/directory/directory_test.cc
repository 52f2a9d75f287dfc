// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/directory.h"

#include "grid/directory/entries.h"
#include "tests/grid/mutable/mutable_test.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::test;
using fake::FakeGrid;
using fake::Lost;

namespace {

constexpr double now = 1700000000.5;

Cap lit(std::string_view text) { return Cap(LitCap{to_bytes(text)}); }
Cap directory_cap() {
  Hash32 fingerprint{};
  fingerprint.fill(9);
  return Cap(MutableWriteCap{MutableFormat::sdmf, Key16(), fingerprint}, true);
}

Cap make_directory(FakeGrid& grid, std::vector<Child> children = {}) {
  struct Body {
    static Task<Result<Cap>> run(MutableContext context, std::vector<Child> children) {
      co_return co_await Directory::create(co_await asio::this_coro::executor, context,
                                           MutableFormat::sdmf, test_key(), std::move(children));
    }
  };
  auto cap = run(Body::run(context_of(grid, 2, 5), std::move(children)));
  REQUIRE(cap);
  return *cap;
}

Result<Listing> edit(FakeGrid& grid, const Cap& cap, std::vector<Edit> edits, double at = now) {
  struct Body {
    static Task<Result<Listing>> run(MutableContext context, Cap cap, std::vector<Edit> edits,
                                     double at) {
      auto file = std::make_shared<MutableFile>(co_await asio::this_coro::executor, context, cap);
      Directory directory(file, context.pool);
      EditOptions options{.now = at, .host = "here"};
      auto out = co_await directory.edit(std::move(edits), std::move(options));
      co_await file->close();
      if (!out) co_return std::unexpected(out.error());
      co_return out->listing;
    }
  };
  return run(Body::run(context_of(grid, 2, 5), cap, std::move(edits), at));
}

Result<Listing> list(FakeGrid& grid, const Cap& cap) {
  struct Body {
    static Task<Result<Listing>> run(MutableContext context, Cap cap) {
      auto file = std::make_shared<MutableFile>(co_await asio::this_coro::executor, context, cap);
      Directory directory(file, context.pool);
      auto out = co_await directory.list();
      co_await file->close();
      co_return out;
    }
  };
  return run(Body::run(context_of(grid, 2, 5), cap));
}

std::vector<std::string> names(const Result<Listing>& listing) {
  std::vector<std::string> out;
  REQUIRE(listing);
  for (std::size_t i = 0; i < listing->size(); ++i) out.emplace_back(listing->name(i));
  return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a new directory is empty, or holds what it was made with") {
  FakeGrid grid({.servers = 5});
  const auto cap = make_directory(grid);
  CHECK(cap.is_directory());
  CHECK(cap.text().starts_with("URI:DIR2:"));
  CHECK(names(list(grid, cap)).empty());
  FakeGrid other({.servers = 5});
  Metadata metadata;
  set(metadata.object(), "note", Json("kept as it is"));
  const auto filled = make_directory(other, {{"x", lit("1"), lit("1"), metadata}});
  const auto seen = list(other, filled);
  CHECK(names(seen) == Names{"x"});
  CHECK(seen->find("x")->metadata == metadata);
}

TEST_CASE("a batch of edits is one publish, and returns the new listing") {
  FakeGrid grid({.servers = 5});
  const auto cap = make_directory(grid);
  const auto after = edit(grid, cap,
                          {Edit::Set{"b", lit("2")}, Edit::Set{"a", lit("1")},
                           Edit::Set{"dir", directory_cap()}, Edit::Rename{"a", "c"}});
  CHECK(names(after) == Names{"b", "c", "dir"});
  CHECK(after->version.seqnum == 2);
  CHECK(after->find("c")->cap == lit("1"));
  CHECK(!after->contains("a"));
  const auto again = list(grid, cap);
  REQUIRE(again);
  CHECK(again->version == after->version);
  CHECK(again->children() == after->children());
}

TEST_CASE("readers of a directory see read caps only, and cannot edit") {
  FakeGrid grid({.servers = 5});
  const auto cap = make_directory(grid);
  REQUIRE(edit(grid, cap, {Edit::Set{"dir", directory_cap()}, Edit::Set{"f", lit("1")}}));
  const auto writer = list(grid, cap);
  CHECK(writer->find("dir")->cap == directory_cap());
  CHECK(writer->find("dir")->read_cap == *directory_cap().read_only());
  const auto reader = list(grid, *cap.read_only());
  CHECK(names(reader) == Names{"dir", "f"});
  CHECK(reader->find("dir")->cap == *directory_cap().read_only());
  CHECK(edit(grid, *cap.read_only(), {Edit::Remove{"f"}}).error().code == Errc::read_only);
}

TEST_CASE("edits that do not apply change nothing, and say why") {
  FakeGrid grid({.servers = 5});
  const auto cap = make_directory(grid);
  REQUIRE(edit(grid, cap, {Edit::Set{"f", lit("1")}, Edit::Set{"dir", directory_cap()}}));
  const auto before = list(grid, cap);
  const auto refused = [&](std::vector<Edit> edits) {
    edits.insert(edits.begin(), Edit::Set{"other", lit("would be new")});
    const auto out = edit(grid, cap, std::move(edits));
    REQUIRE_FALSE(out);
    CHECK(list(grid, cap)->children() == before->children());
    return out.error().code;
  };
  const auto with_overwrite = [](std::string name, Overwrite overwrite) {
    Edit::Set set{std::move(name), lit("2")};
    set.overwrite = overwrite;
    return Edit(set);
  };
  CHECK(refused({with_overwrite("f", Overwrite::never)}) == Errc::exists);
  CHECK(refused({with_overwrite("dir", Overwrite::only_files)}) == Errc::exists);
  CHECK(refused({Edit::Remove{"missing"}}) == Errc::not_found);
  CHECK(refused({Edit::Remove{"f", true, lit("another")}}) == Errc::conflict);
  CHECK(refused({Edit::Rename{"missing", "x"}}) == Errc::not_found);
  CHECK(refused({Edit::Rename{"f", "dir", Overwrite::only_files}}) == Errc::exists);
  CHECK(refused({Edit::SetMetadata{"missing", [](Metadata m) { return m; }}}) == Errc::not_found);
  CHECK(refused({Edit::Set{"bad\xff", lit("1")}}) == Errc::bad_name);
  CHECK(refused({Edit::Set{"v", *Cap(ChkCap{Key16(), {}, 3, 10, 99}).verifier()}}) ==
        Errc::bad_cap);
  CHECK(refused({Edit::Set{"v", Cap::parse("future:write-cap")}}) == Errc::bad_cap);
  Edit::Set guarded{"f", lit("2")};
  guarded.expected = lit("another");
  CHECK(refused({guarded}) == Errc::conflict);
  guarded.expected = lit("1");
  CHECK(edit(grid, cap, {guarded, Edit::Remove{"gone", false}}));
  CHECK(list(grid, cap)->find("f")->cap == lit("2"));
}

TEST_CASE("names are one and the same in every normal form") {
  FakeGrid grid({.servers = 5});
  const auto cap = make_directory(grid);
  REQUIRE(edit(grid, cap, {Edit::Set{"e\u0301", lit("1")}}));
  REQUIRE(edit(grid, cap, {Edit::Set{"\u00e9", lit("2")}}));
  const auto seen = list(grid, cap);
  CHECK(names(seen) == Names{"\u00e9"});
  REQUIRE(seen->find("e\u0301"));
  CHECK(seen->find("e\u0301")->cap == lit("2"));
}

TEST_CASE("POSIX facts travel with an entry, and other metadata with them") {
  FakeGrid grid({.servers = 5});
  const auto cap = make_directory(grid);
  PosixFacts facts;
  facts.kind = PosixFacts::Kind::symlink;
  facts.mode = 0777;
  facts.uid = 4294967295u;
  facts.mtime = timespec{-5, 999999999};
  facts.xattrs["user.x"] = Bytes{0, 1, 255};
  Metadata metadata;
  metadata.set_posix(facts);
  set(metadata.object(), "theirs", Json(1.5));
  REQUIRE(edit(grid, cap, {Edit::Set{"link", lit("target"), metadata}}));
  REQUIRE(edit(grid, cap, {Edit::Rename{"link", "moved"}}, now + 1));
  REQUIRE(edit(grid, cap,
               {Edit::SetMetadata{"moved",
                                  [](Metadata m) {
                                    auto f = m.posix();
                                    f.mode = 0700;
                                    m.set_posix(f);
                                    return m;
                                  }}},
               now + 2));
  const auto seen = list(grid, cap);
  const auto child = seen->find("moved");
  REQUIRE(child);
  facts.mode = 0700;
  CHECK(child->metadata.posix() == facts);
  CHECK(*find(child->metadata.object(), "theirs") == Json(1.5));
  CHECK(child->metadata.link_created() == now);
  CHECK(child->metadata.link_modified() == now + 2);
}

TEST_CASE("immutable directories are listed, and cannot be edited") {
  const auto packed =
      pack_immutable({{"b", lit("2"), lit("2"), {}}, {"a", lit("1"), lit("1"), {}}});
  REQUIRE(packed);
  struct Body {
    static Task<> run(Bytes packed) {
      Directory directory(packed, test_pool());
      CHECK_FALSE(directory.writable());
      const auto seen = co_await directory.list();
      CHECK(names(seen) == Names{"a", "b"});
      std::vector<Edit> edits{Edit::Remove{"a"}};
      EditOptions options;
      const auto edited = co_await directory.edit(std::move(edits), options);
      CHECK(edited.error().code == Errc::read_only);
    }
  };
  run(Body::run(*packed));
  CHECK(pack_immutable({{"m", directory_cap(), directory_cap(), {}}}).error().code ==
        Errc::bad_cap);
}

TEST_CASE("a big directory is edited without touching the other entries") {
  FakeGrid grid({.servers = 5});
  const auto cap = make_directory(grid);
  std::vector<Edit> edits;
  for (int i = 0; i < 2000; ++i) edits.push_back(Edit::Set{"n" + std::to_string(i), lit("v")});
  REQUIRE(edit(grid, cap, edits));
  const auto after = edit(grid, cap, {Edit::Remove{"n77"}});
  REQUIRE(after);
  CHECK(after->size() == 1999);
  CHECK(list(grid, cap)->children() == after->children());
}

TEST_CASE("edits of different names by writers that collide are all there") {
  FakeGrid grid({.servers = 5});
  const auto cap = make_directory(grid);
  struct Body {
    static Task<> write(MutableContext context, Cap cap, std::string name) {
      auto file = std::make_shared<MutableFile>(co_await asio::this_coro::executor, context, cap);
      Directory directory(file, context.pool);
      Edit::Set set{name, lit(name)};
      set.overwrite = Overwrite::never;  // our own first attempt is no obstacle
      std::vector<Edit> edits{set};
      EditOptions options;
      auto done = co_await directory.edit(std::move(edits), options);
      INFO((done ? "" : done.error().message()));
      CHECK(done);
      co_await file->close();
    }
    static Task<> run(MutableContext context, Cap cap) {
      TaskGroup group(co_await asio::this_coro::executor);
      group.spawn(write(context, cap, "a"));
      group.spawn(write(context, cap, "b"));
      co_await group.join();
    }
  };
  run(Body::run(context_of(grid, 2, 5), cap));
  CHECK(names(list(grid, cap)) == Names{"a", "b"});
}

TEST_CASE("a table made at once is the one that its entries make one by one") {
  const std::vector<std::pair<std::string, Cap>> given{
      {"z", lit("last")},         {"a", directory_cap()},
      {"m", lit("first of two")}, {"b", Cap(UnknownCap{"ro.x-future:1"})},
      {"m", directory_cap()},     {"", lit("no name")}};
  TableKind kind;
  kind.write_key = Key16();
  std::vector<Child> children;
  Entries one_by_one(kind);
  for (const auto& [name, cap] : given) {
    const auto metadata = Metadata::updated(std::nullopt, std::nullopt, now + children.size());
    children.push_back({name, cap, cap.read_only().value_or(cap), metadata});
    one_by_one.set(name, ChildCaps::of(cap, std::nullopt), metadata);
  }
  const auto at_once = table_of(children, kind);
  REQUIRE(at_once);
  CHECK(at_once->pack() == one_by_one.pack());
  REQUIRE(at_once->size() == 5);
  for (std::size_t i = 0; i < at_once->size(); ++i) {
    CHECK(at_once->name(i) == one_by_one.packed().name(i));
    CHECK(equal(at_once->entry(i).raw, one_by_one.packed().entry(i).raw));
  }
}
