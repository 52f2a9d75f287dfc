// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "encode_helper.h"
#include "grid/caps/cap.h"
#include "grid/caps/keys.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/immutable/chk_reader.h"
#include "grid/immutable/ueb.h"
#include "grid/immutable/uploader.h"
#include "tests/fake/fake_grid.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::grid;
namespace v = lafs::test;

namespace {

const v::json::array& group(std::string_view name) {
  static const auto file = v::load_vectors("chk.json");
  return v::group(file, name);
}

Pool& pool() {
  static Pool the_pool(2);
  return the_pool;
}

Geometry geometry_of(const v::json::value& c, std::uint64_t size) {
  const Encoding encoding{.k = v::number(c, "k"),
                          .happy = 1,
                          .n = v::number(c, "n"),
                          .max_segment_size = v::number(c, "max_segment_size")};
  return Geometry::for_upload(size, encoding).value();
}

void check_layout_of(const v::json::value& c, const Geometry& g, const ShareLayout& layout) {
  CHECK(g.segment_size == v::number(c, "segment_size"));
  CHECK(g.num_segments == v::number(c, "num_segments"));
  CHECK(g.block_size == v::number(c, "block_size"));
  CHECK(g.share_data_size == v::number(c, "share_data_size"));
  CHECK(static_cast<std::uint64_t>(layout.version) == v::number(c, "share_layout_version"));
  const auto& offsets = v::at(c, "offsets");
  CHECK(layout.data == v::number(offsets, "data"));
  CHECK(layout.plaintext_tree == v::number(offsets, "plaintext_tree"));
  CHECK(layout.ciphertext_tree == v::number(offsets, "ciphertext_tree"));
  CHECK(layout.block_tree == v::number(offsets, "block_tree"));
  CHECK(layout.share_hashes == v::number(offsets, "share_hashes"));
  CHECK(layout.uri_extension == v::number(offsets, "uri_extension"));
  CHECK(layout.share_length(ueb_length(g)) == v::number(c, "share_length"));
}

grid::test::Shares encode(const v::json::value& c) {
  const auto plaintext = v::plaintext(v::at(c, "plaintext"));
  const auto forced = v::flag(c, "layout_forced") ? std::optional(LayoutVersion::v2) : std::nullopt;
  return run(grid::test::encode_shares(pool(), plaintext, geometry_of(c, plaintext.size()),
                                       Key16(v::hex_array<16>(c, "key_hex")), forced))
      .value();
}

Task<Result<Bytes>> read_all(storage::Roster& roster, ChkCap cap) {
  auto file = std::make_shared<ImmutableFile>(co_await asio::this_coro::executor, roster, pool(),
                                              verifier_of(cap));
  ChkReader reader(file, cap.key, pool());
  auto data = co_await reader.read(0, cap.size + 10);
  co_await file->close();
  co_return data;
}

}  // namespace

TEST_CASE("literal caps are Tahoe's") {
  int cases = 0;
  for (auto& c : group("literals")) {
    const auto plaintext = v::plaintext(v::at(c, "plaintext"));
    fake::FakeGrid empty({.servers = 0});
    const auto source = memory_source(plaintext);
    auto done = run(upload({empty.roster(), pool(), {}, {}, {}}, source));
    REQUIRE(done.has_value());
    CHECK(done->cap.text() == v::text(c, "cap"));
    ++cases;
  }
  CHECK(cases == 8);
}

TEST_CASE("sizes and headers of huge files are Tahoe's") {
  int cases = 0;
  for (auto& c : group("huge_geometry")) {
    const auto g = geometry_of(c, v::number(c, "size"));
    const auto layout = ShareLayout::make(g);
    REQUIRE(layout.has_value());
    check_layout_of(c, g, *layout);
    CHECK(g.share_hash_count() == v::number(c, "share_hash_entries"));
    CHECK(ueb_length(g) == v::number(c, "ueb_length"));
    CHECK(to_hex(serialize_header(*layout)) == v::text(c, "header_hex"));
    CHECK(Ueb::of(g, {}, {}, {}).tail_codec_params == v::text(c, "tail_codec_params"));
    ++cases;
  }
  CHECK(cases == 17);
}

TEST_CASE("keys, shares and caps are Tahoe's, byte for byte") {
  int cases = 0, shares_compared = 0;
  for (auto& c : group("files")) {
    const auto plaintext = v::plaintext(v::at(c, "plaintext"));
    INFO(plaintext.size() << " bytes, " << v::number(c, "k") << " of " << v::number(c, "n"));
    CHECK(to_hex(sha256(plaintext)) == v::text(c, "plaintext_sha256"));
    const auto g = geometry_of(c, plaintext.size());
    const Key16 key(v::hex_array<16>(c, "key_hex"));
    if (v::has(c, "convergence_secret_hex")) {
      const auto source = memory_source(plaintext);
      auto derived = run(convergent_key(source, g, v::hex(c, "convergence_secret_hex"), pool()));
      REQUIRE(derived.has_value());
      CHECK(derived->key == key);
    }
    CHECK(storage_index_of(key).text() == v::text(c, "storage_index"));
    const auto made = encode(c);
    check_layout_of(c, g, made.file.layout);
    CHECK(to_hex(made.file.ueb) == v::text(c, "ueb_hex"));
    CHECK(to_hex(made.file.ueb_hash) == v::text(c, "ueb_hash_hex"));
    const Cap cap(ChkCap{key, made.file.ueb_hash, g.k, g.n, g.size});
    CHECK(cap.text() == v::text(c, "cap"));
    CHECK(cap.verifier()->text() == v::text(c, "verify_cap"));
    const auto& expected = v::at(c, "share_sha256");
    if (expected.is_array()) {
      REQUIRE(expected.as_array().size() == g.n);
      for (std::size_t i = 0; i < g.n; ++i, ++shares_compared) {
        CHECK(to_hex(sha256(made.shares[i])) == v::text(expected.as_array()[i]));
      }
    } else {
      for (auto& [number, digest] : expected.as_object()) {
        CHECK(to_hex(sha256(made.shares.at(std::stoul(std::string(number))))) == v::text(digest));
        ++shares_compared;
      }
      Sha256 all;
      for (auto& share : made.shares) all.update(sha256(share));
      CHECK(to_hex(all.finish()) == v::text(c, "all_shares_sha256"));
    }
    if (v::has(c, "shares_b64")) {
      const auto& given = v::group(c, "shares_b64");
      for (std::size_t i = 0; i < given.size(); ++i) CHECK(made.shares[i] == v::b64(given[i]));
    }
    ++cases;
  }
  CHECK(cases == 45);
  CHECK(shares_compared > 200);
}

TEST_CASE("files are read back from Tahoe's shares, first k and last k") {
  int cases = 0;
  for (auto& c : group("files")) {
    const auto plaintext = v::plaintext(v::at(c, "plaintext"));
    INFO(plaintext.size() << " bytes, " << v::number(c, "k") << " of " << v::number(c, "n"));
    const auto cap = Cap::parse(v::text(c, "cap"));
    REQUIRE(cap.as<ChkCap>());
    const auto& chk = *cap.as<ChkCap>();
    // The given shares, or ours, which another test compares with the recorded hashes.
    std::vector<Bytes> shares;
    if (v::has(c, "shares_b64")) {
      for (auto& share : v::group(c, "shares_b64")) shares.push_back(v::b64(share));
    } else {
      shares = encode(c).shares;
    }
    for (const bool last : {false, true}) {
      fake::FakeGrid grid({.servers = 4});
      for (std::uint64_t i = 0; i < chk.k; ++i) {
        const auto number = last ? chk.n - 1 - i : i;
        grid.server(i % 4).put_share(*cap.storage_index(), {number}, shares[number]);
      }
      auto data = run(read_all(grid.roster(), chk));
      REQUIRE(data.has_value());
      CHECK(*data == plaintext);
    }
    ++cases;
  }
  CHECK(cases == 45);
}
