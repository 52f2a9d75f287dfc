// SPDX-License-Identifier: Apache-2.0
#include "cache/record.h"

#include <catch2/catch.hpp>

#include "grid/crypto/random.h"

using namespace lafs;
using namespace lafs::cache;

namespace {

Record one_of_each() {
  Record out;
  PutNode node{.number = 0x1234, .parent = 7, .name = "größe"};
  node.cap = Cap(grid::LitCap{to_bytes("x")});
  node.facts.mode = 0640;
  node.facts.mtime = timespec{-5, 999'999'999};
  node.facts.kind = PosixFacts::Kind::fifo;
  node.facts.xattrs["user.a"] = Bytes{0, 1, 255};
  node.other = *Metadata::parse(R"({"theirs": [1, "two"]})");
  out.push_back(node);
  out.push_back(PutNode{.number = 9, .directory = true, .parent = 7, .name = "new"});
  out.push_back(ForgetNode{8});
  PutContent content{.number = 0x1234};
  content.content.staged = {
      .id = 3, .key = grid::random_secret<32>(), .size = 1 << 20, .inherited_size = 4096};
  content.content.staged.local.add({10, 20});
  content.content.staged.local.add({4096, 1 << 20});
  content.content.base = Cap(grid::LitCap{to_bytes("old")});
  out.push_back(content);
  out.push_back(Extent{0x1234, 1ull << 40, 65536, {1700000000, 1}});
  out.push_back(Truncated{0x1234, 0, {1700000000, 2}});
  out.push_back(Stored{0x1234, Cap(grid::LitCap{}), false});
  Pending pending{.node = 0x1234, .base = Cap(grid::LitCap{to_bytes("b")})};
  pending.tried.push_back(Cap(grid::LitCap{to_bytes("t")}));
  pending.moved = {1, UINT64_MAX};
  out.push_back(PutPending{7, "größe", pending});
  out.push_back(Settled{7, "gone"});
  out.push_back(Tried{7, "größe", Cap(grid::LitCap{to_bytes("t2")})});
  out.push_back(Numbered{7, "größe", 0x1234});
  return out;
}

}  // namespace

TEST_CASE("a record is read as it was written") {
  const auto record = one_of_each();
  const auto read = decode(encode(record));
  REQUIRE(read.has_value());
  CHECK(*read == record);
  for (const auto& op : record) {
    const auto alone = decode(encode({op}));
    REQUIRE(alone.has_value());
    CHECK(*alone == Record{op});
  }
}

TEST_CASE("a record that is cut or changed is refused or means something else, never more") {
  const auto record = one_of_each();
  const auto bytes = encode(record);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    const auto read = decode(ByteView(bytes).first(cut));
    if (read) CHECK(read->size() < record.size());
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    auto damaged = bytes;
    damaged[at] ^= 0x41;
    const auto read = decode(damaged);
    if (read) CHECK(decode(encode(*read)) == *read);
  }
}
