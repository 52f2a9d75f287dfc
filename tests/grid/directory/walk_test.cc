// SPDX-License-Identifier: Apache-2.0
// Whole trees: cycles, shared subtrees, what cannot be listed, and a million nodes.

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "grid/base/offload.h"
#include "grid/tree_stats.h"

using namespace lafs;
using namespace lafs::grid;

namespace {

Cap cap_of(std::uint64_t number, bool directory) {
  std::array<std::uint8_t, 16> key{};
  put_be(key.data() + 8, number);
  Hash32 hash{};
  put_be(hash.data(), number);
  if (directory) return Cap(MutableReadCap{MutableFormat::sdmf, Key16(key), hash}, true);
  return Cap(ChkCap{Key16(key), hash, 3, 10, number});
}

using Tree = std::map<std::string, std::map<std::string, Cap>>;  // cap -> children

Listing listing_of(const std::map<std::string, Cap>& children) {
  std::vector<Entries::New> entries;
  for (const auto& [name, cap] : children) entries.push_back({name, ChildCaps::of(cap), "{}"});
  return Listing({}, Entries::make(std::move(entries), TableKind()));
}

Task<Result<Listing>> look_up(const Tree* tree, Cap cap) {
  co_await sleep_for(Duration(0));
  const auto it = tree->find(cap.text());
  if (it == tree->end()) co_return fail(Errc::not_enough_shares, "it is gone");
  co_return listing_of(it->second);
}

Task<Result<>> note(std::vector<std::string>* out, TreeStats* stats, const Found* found) {
  out->push_back(found->path + (found->error ? "!" : found->listing ? "/" : ""));
  stats->add(*found);
  co_return Result<>();
}

}  // namespace

TEST_CASE("a walk visits each thing once, whatever leads where") {
  const auto root = cap_of(1, true), a = cap_of(2, true), b = cap_of(3, true),
             gone = cap_of(4, true);
  const auto file = cap_of(1000, false), other = cap_of(55, false);
  const Tree tree{{root.text(), {{"a", a}, {"b", b}, {"f", file}, {"self", root}}},
                  {a.text(), {{"b again", b}, {"f again", file}, {"up", root}}},
                  {b.text(), {{"gone", gone}, {"o", other}, {"lit", Cap(LitCap{{1, 2}})}}}};
  std::vector<std::string> seen;
  TreeStats stats;
  for (const std::size_t at_once : {1, 8}) {
    seen.clear();
    stats = {};
    Lister list = [&](Cap cap) { return look_up(&tree, std::move(cap)); };
    Visitor visit = [&](const Found& found) { return note(&seen, &stats, &found); };
    REQUIRE(run(walk(list, root, visit, {at_once})));
    std::ranges::sort(seen);
    REQUIRE(seen.size() == 7);
    CHECK(seen[0] == "/");
    CHECK(std::ranges::count(seen, "f") + std::ranges::count(seen, "a/f again") == 1);
    CHECK(std::ranges::count(seen, "b/") + std::ranges::count(seen, "a/b again/") == 1);
  }
  CHECK(stats.directories == 4);
  CHECK(stats.unreadable_directories == 1);
  CHECK(stats.immutable_files == 2);
  CHECK(stats.immutable_bytes == 1055);
  CHECK(stats.literal_files == 1);
  CHECK(stats.largest_directory_children == 4);
  // A visitor's error ends it.
  Lister list = [&](Cap cap) { return look_up(&tree, std::move(cap)); };
  struct Refuse {
    static Task<Result<>> visit() { co_return fail(Errc::io, "enough"); }
  };
  Visitor refuse = [](const Found&) { return Refuse::visit(); };
  CHECK(run(walk(list, root, refuse, {})).error().code == Errc::io);
}

TEST_CASE("sizes are counted in half decades") {
  CHECK(size_bucket(0) == 0);
  for (const auto& [least, most] : {std::pair<std::uint64_t, std::uint64_t>{1, 3},
                                    {4, 10},
                                    {11, 31},
                                    {32, 100},
                                    {101, 316},
                                    {317, 1000},
                                    {1001, 3162}}) {
    CHECK(size_bucket(least) == size_bucket(most));
    CHECK(bucket_range(size_bucket(most)).least == least);
    CHECK(bucket_range(size_bucket(most)).most == most);
  }
  CHECK(bucket_range(size_bucket(UINT64_MAX)).most == UINT64_MAX);
}

// LAFS_LARGE_TESTS=1: a million nodes; else a tenth.
TEST_CASE("a tree of very many nodes is walked in bounded memory") {
  const std::uint64_t width = 1000, depth = std::getenv("LAFS_LARGE_TESTS") ? 1000 : 100;
  struct Synthetic {
    static Task<Result<Listing>> list(std::uint64_t width, std::uint64_t depth, Cap cap) {
      const auto number = get_be<std::uint64_t>(cap.as<MutableReadCap>()->read_key.data() + 8);
      std::vector<Entries::New> entries;
      if (number == 0) {
        for (std::uint64_t i = 1; i <= depth; ++i) {
          entries.push_back({"d" + std::to_string(i), ChildCaps::of(cap_of(i, true)), "{}"});
        }
      } else {
        for (std::uint64_t i = 1; i < width; ++i) {
          const auto file = cap_of(number * width + i, false);
          entries.push_back({"f" + std::to_string(i), ChildCaps::of(file), "{}"});
        }
      }
      co_return Listing({}, Entries::make(std::move(entries), TableKind()));
    }
    static Task<Result<>> count(TreeStats* stats, const Found* found) {
      stats->add(*found);
      co_return Result<>();
    }
  };
  struct rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  TreeStats stats;
  Lister list = [&](Cap cap) { return Synthetic::list(width, depth, std::move(cap)); };
  Visitor visit = [&](const Found& found) { return Synthetic::count(&stats, &found); };
  REQUIRE(run(walk(list, cap_of(0, true), visit, {})));
  CHECK(stats.directories == depth + 1);
  CHECK(stats.immutable_files == depth * (width - 1));
  ::getrusage(RUSAGE_SELF, &after);
  // The address sanitizer keeps what was freed.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  return;
#endif
#endif
  CHECK(after.ru_maxrss - before.ru_maxrss < 100 * 1024);  // kilobytes
}
