// SPDX-License-Identifier: Apache-2.0
#include "cache/read_cache.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <random>

#include "tests/cache/scratch.h"

using namespace lafs;
using namespace lafs::cache;

namespace {

Segments::Key key(std::uint64_t file, std::uint64_t segment) {
  Segments::Key out;
  put_be<std::uint64_t>(out.file.bytes.data(), file);
  out.segment.value = segment;
  return out;
}

Bytes content(std::uint64_t file, std::uint64_t segment, std::size_t size) {
  std::mt19937_64 rng(file * 1000 + segment);
  Bytes out(size);
  for (auto& b : out) b = static_cast<std::uint8_t>(rng());
  return out;
}

ReadCache::Options options(const Scratch& scratch, std::uint64_t bytes = 64u << 20) {
  return {.directory = scratch.path() + "/cache",
          .node_secret = *grid::Secret32::from(Bytes(32, 3)),
          .segment_bytes = bytes,
          .listing_bytes = 16u << 20,
          .min_free = 0};
}

void keep(ReadCache& cache, std::uint64_t file, std::uint64_t segment, std::size_t size) {
  cache.keep_segment(key(file, segment),
                     std::make_shared<const Bytes>(content(file, segment, size)));
}

std::optional<Bytes> get(ReadCache& cache, std::uint64_t file, std::uint64_t segment) {
  std::optional<Bytes> out;
  cache.segment(key(file, segment), [&](ByteView data) { out = to_bytes(data); });
  return out;
}

// Changes one byte of every place in `path` that holds `what`.
unsigned flip_in(const std::string& path, ByteView what) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::string all((std::istreambuf_iterator<char>(file)), {});
  file.clear();
  unsigned flipped = 0;
  for (auto at = all.find(as_text(what)); at != std::string::npos;
       at = all.find(as_text(what), at + 1), ++flipped) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(all[at] ^ 1));
  }
  return flipped;
}

}  // namespace

TEST_CASE("a segment and its file's segment size are there after a restart") {
  Scratch scratch;
  {
    auto cache = ReadCache::open(options(scratch)).value();
    keep(*cache, 1, 0, 131073);
    keep(*cache, 1, 1, 77);
    cache->keep_file(key(9, 0).file, {131073, key(1, 0).file});
    cache->settle();
    CHECK(get(*cache, 1, 1) == content(1, 1, 77));
  }
  auto cache = ReadCache::open(options(scratch)).value();
  CHECK(get(*cache, 1, 0) == content(1, 0, 131073));
  CHECK(cache->has_segment(key(1, 1)));
  CHECK_FALSE(get(*cache, 2, 0));
  REQUIRE(cache->file(key(9, 0).file));
  CHECK(cache->file(key(9, 0).file)->segment_size == 131073);
  CHECK(cache->file(key(9, 0).file)->id == key(1, 0).file);
  CHECK_FALSE(cache->file(key(2, 0).file));
  CHECK(cache->use().hits == 1);
  CHECK(cache->use().misses == 1);
}

TEST_CASE("the segments on the disk stay within their bound, and the newest are there") {
  Scratch scratch;
  constexpr std::uint64_t bound = 8u << 20;
  auto cache = ReadCache::open(options(scratch, bound)).value();
  std::mt19937 rng(4);
  for (unsigned i = 0; i < 300; ++i) {
    keep(*cache, i, 0, i % 3 ? 131072 : 1 + rng() % 200'000);
    if (i % 20 == 19) {
      cache->settle();
      REQUIRE(cache->use().segment_bytes <= bound);
      CHECK(get(*cache, i, 0).has_value());
    }
  }
  CHECK_FALSE(get(*cache, 0, 0));
  CHECK(cache->use().on_disk < bound * 2 + (40u << 20));
  CHECK(cache->use().left_out == 0);
}

TEST_CASE("a damaged segment is not given out and makes room for a good one") {
  Scratch scratch;
  const auto good = content(5, 0, 100'000);
  {
    auto cache = ReadCache::open(options(scratch)).value();
    keep(*cache, 5, 0, good.size());
  }
  REQUIRE(flip_in(scratch.path() + "/cache/segments.mdb", ByteView(good).subspan(50'000, 64)) > 0);
  auto cache = ReadCache::open(options(scratch)).value();
  CHECK_FALSE(get(*cache, 5, 0));
  CHECK(cache->use().damaged == 1);
  cache->settle();
  CHECK_FALSE(cache->has_segment(key(5, 0)));
  keep(*cache, 5, 0, good.size());
  cache->settle();
  CHECK(get(*cache, 5, 0) == good);
}

TEST_CASE("segments that were open when the power went are not trusted") {
  Scratch scratch;
  {
    auto cache = ReadCache::open(options(scratch)).value();
    keep(*cache, 1, 0, 1000);
  }
  {
    auto cache = ReadCache::open(options(scratch)).value();
    CHECK(get(*cache, 1, 0));  // closed in good order
    std::ofstream(scratch.path() + "/cache/segments.state") << "open 0123";
  }
  // The destructor has said "closed"; say again what an earlier boot would have left.
  std::ofstream(scratch.path() + "/cache/segments.state") << "open 0123";
  auto cache = ReadCache::open(options(scratch)).value();
  CHECK_FALSE(get(*cache, 1, 0));
}

TEST_CASE("files that are no databases are thrown away") {
  Scratch scratch;
  for (const std::string name : {"segments.mdb", "listings.mdb"}) {
    {
      auto cache = ReadCache::open(options(scratch)).value();
      keep(*cache, 1, 0, 5000);
      cache->keep_listing("cap", {1, {}, std::make_shared<const Bytes>(Bytes(9000, 1))});
    }
    const auto path = scratch.path() + "/cache/" + name;
    SECTION("garbage in " + name) {
      std::ofstream(path, std::ios::trunc) << std::string(100'000, 'x');
    }
    SECTION("nothing left of " + name) { std::filesystem::resize_file(path, 4096 * 3); }
    auto cache = ReadCache::open(options(scratch));
    REQUIRE(cache.has_value());
    keep(**cache, 2, 0, 5000);
    (*cache)->settle();
    CHECK(get(**cache, 2, 0).has_value());
  }
}

TEST_CASE("a listing is kept under its cap, sealed, and only the newest") {
  Scratch scratch;
  const auto table = to_bytes("a table with a telling name in it");
  grid::Hash32 root{};
  root[0] = 9;
  {
    auto cache = ReadCache::open(options(scratch)).value();
    cache->keep_listing("URI:DIR2:x", {1, root, std::make_shared<const Bytes>(Bytes(5, 5))});
    cache->keep_listing("URI:DIR2:x", {2, root, std::make_shared<const Bytes>(table)});
  }
  {
    auto cache = ReadCache::open(options(scratch)).value();
    auto kept = cache->listing("URI:DIR2:x");
    REQUIRE(kept);
    CHECK(kept->seqnum == 2);
    CHECK(kept->root_hash == root);
    CHECK(kept->table == table);
    CHECK_FALSE(cache->listing("URI:DIR2:y"));
    CHECK(cache->use().listings == 1);
  }
  CHECK(flip_in(scratch.path() + "/cache/listings.mdb", to_bytes("telling name")) == 0);
  auto other = options(scratch);
  other.node_secret = *grid::Secret32::from(Bytes(32, 4));
  CHECK_FALSE(ReadCache::open(other).value()->listing("URI:DIR2:x"));
}

TEST_CASE("two processes fill and read one cache at the same time") {
  Scratch scratch;
  constexpr unsigned files = 120;
  auto work = [&](unsigned first) {
    auto cache = ReadCache::open(options(scratch, 24u << 20)).value();
    unsigned wrong = 0;
    for (unsigned i = 0; i < files; ++i) {
      const auto file = (first + i * 7) % files;
      keep(*cache, file, 0, 100'000 + file);
      if (i % 10 == 9) cache->settle();
      for (unsigned back = 0; back < 5; ++back) {
        const auto wanted = (file + back * 7) % files;
        auto got = get(*cache, wanted, 0);
        if (got && *got != content(wanted, 0, 100'000 + wanted)) ++wrong;
      }
    }
    cache->settle();
    return wrong + static_cast<unsigned>(cache->use().damaged) +
           (cache->use().segment_bytes > (24u << 20) ? 1u : 0u);
  };
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(work(60) == 0 ? 0 : 1);
  CHECK(work(0) == 0);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
