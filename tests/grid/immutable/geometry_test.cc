// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/geometry.h"

#include <catch2/catch.hpp>
#include <random>

#include "grid/base/bytes.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/ueb.h"

using namespace lafs;
using namespace lafs::grid;

TEST_CASE("segments and blocks add up to the file for every small size") {
  for (std::uint64_t size = 1; size < 200; ++size) {
    for (std::uint64_t k = 1; k < 8; ++k) {
      for (std::uint64_t max : {1, 7, 16, 64, 500}) {
        auto g = Geometry::for_upload(size, {.k = k, .happy = 1, .n = 8, .max_segment_size = max});
        REQUIRE(g);
        std::uint64_t bytes = 0, blocks = 0;
        for (std::uint64_t s = 0; s < g->num_segments; ++s) {
          CHECK(g->segment_offset({s}) == bytes);
          bytes += g->segment_length({s});
          blocks += g->block_length({s});
          CHECK(g->padded_length({s}) == k * g->block_length({s}));
          CHECK(g->padded_length({s}) - g->segment_length({s}) < std::max<std::uint64_t>(k, 2));
        }
        CHECK(bytes == size);
        CHECK(blocks == g->share_data_size);
      }
    }
  }
}

TEST_CASE("numbers that no file has are refused without overflow") {
  const auto most = ~std::uint64_t{0};
  CHECK_FALSE(Geometry::make(0, 3, 10, 3));
  CHECK_FALSE(Geometry::make(10, 0, 10, 3));
  CHECK_FALSE(Geometry::make(10, 11, 10, 11));
  CHECK_FALSE(Geometry::make(10, 3, 257, 3));
  CHECK_FALSE(Geometry::make(10, 3, 10, 0));
  CHECK_FALSE(Geometry::make(10, 3, 10, 4));
  CHECK_FALSE(Geometry::make(most, 1, 1, 1));
  for (std::uint64_t size : {most, most - 1, most / 2}) {
    for (std::uint64_t segment : {std::uint64_t{1} << 20, std::uint64_t{1} << 40, most / 2, most}) {
      auto g = Geometry::make(size, 1, 256, segment);
      if (!g) continue;
      CHECK(g->tail_size <= g->segment_size);
      CHECK(g->tail_padded >= g->tail_size);
      auto layout = ShareLayout::make(*g);
      if (layout) CHECK(layout->uri_extension > g->share_data_size);
    }
  }
}

TEST_CASE("a share header survives being written and read in both versions") {
  auto g = Geometry::for_upload(1000, {.k = 3, .happy = 1, .n = 10, .max_segment_size = 100});
  REQUIRE(g);
  for (auto version : {LayoutVersion::v1, LayoutVersion::v2}) {
    auto layout = ShareLayout::make(*g, version);
    REQUIRE(layout);
    const auto bytes = serialize_header(*layout);
    CHECK(bytes.size() == layout->header_length());
    CHECK(parse_header(bytes) == *layout);
    CHECK(check_layout(*layout, *g));
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      CHECK_FALSE(parse_header(ByteView(bytes).first(n)));
    }
  }
}

TEST_CASE("a share header whose sections overlap or leave the share is refused") {
  auto g = Geometry::for_upload(1000, {.k = 3, .happy = 1, .n = 10, .max_segment_size = 100});
  auto good = ShareLayout::make(*g, LayoutVersion::v2);
  REQUIRE(good);
  auto refused = [&](auto change) {
    auto layout = *good;
    change(layout);
    auto parsed = parse_header(serialize_header(layout));
    return !parsed || !check_layout(*parsed, *g);
  };
  CHECK_FALSE(refused([](auto&) {}));
  CHECK(refused([](auto& l) { l.data = 0; }));
  CHECK(refused([](auto& l) { l.data = l.ciphertext_tree + 1; }));
  CHECK(refused([](auto& l) { l.ciphertext_tree = l.data; }));
  CHECK(refused([](auto& l) { l.block_tree -= 1; }));
  CHECK(refused([](auto& l) { l.share_hashes -= 32; }));
  CHECK(refused([](auto& l) { l.share_hashes = l.uri_extension; }));
  CHECK(refused([](auto& l) { l.uri_extension += 1; }));
  CHECK(refused([](auto& l) { l.uri_extension = ~std::uint64_t{0}; }));
  CHECK(refused([](auto& l) { l.uri_extension = l.share_hashes + 34 * 1000; }));
}

TEST_CASE("share hashes come in the order that Tahoe writes") {
  using List = std::vector<std::uint64_t>;
  CHECK(share_hash_order(1, {0}) == List{0});
  CHECK(share_hash_order(3, {0}) == List{2, 3, 4});
  CHECK(share_hash_order(10, {0}) == List{2, 4, 8, 15, 16});
  CHECK(share_hash_order(10, {3}) == List{2, 4, 7, 17, 18});
  CHECK(share_hash_order(10, {9}) == List{1, 6, 12, 23, 24});
  CHECK(share_hash_order(8, {0}) == List{8, 2, 4, 7});
  CHECK(share_hash_order(100, {0}) == List{128, 32, 64, 2, 4, 8, 16, 127});
  CHECK(share_hash_order(100, {57}) == List{2, 3, 9, 46, 21, 183, 184, 92});
  CHECK(share_hash_order(256, {200}) == List{1, 228, 5, 455, 456, 14, 114, 55, 28});
}

TEST_CASE("a share-hash section with a foreign index or half an entry is refused") {
  Bytes section(68);
  section[1] = 4;
  section[35] = 3;
  CHECK(parse_share_hashes(section, 3)->size() == 2);
  section[1] = 7;  // a tree over 3 leaves has nodes 0 to 6
  CHECK_FALSE(parse_share_hashes(section, 3));
  section[1] = 4;
  CHECK_FALSE(parse_share_hashes(ByteView(section).first(67), 3));
  section[35] = 4;
  CHECK(parse_share_hashes(section, 3)->size() == 1);
  section[40] = 1;
  CHECK_FALSE(parse_share_hashes(section, 3));
}

TEST_CASE("a UEB survives being written and read, and says when it contradicts the cap") {
  auto g = Geometry::for_upload(1000, {.k = 3, .happy = 1, .n = 10, .max_segment_size = 100});
  Hash32 flat{}, root{}, shares{};
  flat.fill(1);
  root.fill(':');
  shares.fill(',');
  const auto ueb = Ueb::of(*g, flat, root, shares);
  const auto bytes = ueb.serialize();
  CHECK(bytes.size() == 313);
  CHECK(bytes.size() == ueb_length(*g));
  CHECK(Ueb::parse(bytes) == ueb);
  CHECK(ueb.check(*g));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    auto part = Ueb::parse(ByteView(bytes).first(n));
    if (part) CHECK(Ueb::parse(part->serialize()) == part);
  }
  auto other = ueb;
  other.codec_params = "102-3-11";
  CHECK_FALSE(other.check(*g));
  other = ueb;
  other.size = 1001;
  CHECK_FALSE(other.check(*g));
  other = ueb;
  other.size.reset();
  CHECK(other.check(*g));
  // Unknown keys are dropped, a later duplicate wins.
  auto more = bytes;
  append(more, as_bytes("plaintext_hash:3:abc,segment_size:2:99,"));
  auto parsed = Ueb::parse(more);
  REQUIRE(parsed);
  CHECK(parsed->segment_size == 99);
  for (auto bad : {"x", ":1:a,", "size:1:a", "size:2:a,", "size:1:a,", "a b:1:a,",
                   "segment_size:1:9,", "segment_size:3:+99,"}) {
    INFO(bad);
    CHECK_FALSE(Ueb::parse(as_bytes(bad)));
  }
}
