// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every storage::Server does, as a list of cases to be run on each body of the interface: the
// one on a disk, the one across the network, and the fake that other tests believe in. Include it
// in one .cc of a test program; each case wants a server without shares and may be followed by
// another case on the same server.

#include <catch2/catch.hpp>
#include <functional>

#include "grid/crypto/random.h"
#include "grid/storage/server.h"

namespace lafs::grid::fake {

namespace conformance {

using namespace storage;

inline StorageIndex fresh_index() { return StorageIndex{random_array<16>()}; }
inline LeaseSecrets fresh_lease() { return {random_secret<32>(), random_secret<32>()}; }
inline Bytes pattern(std::size_t n, unsigned seed = 0) {
  Bytes out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 251 + seed);
  return out;
}
inline Errc code(const auto& result) { return result ? Errc::internal : result.error().code; }
// Not an initializer list: g++ 12 refuses those in a co_await.
template <class... N>
std::set<ShareNo> numbers(N... n) {
  std::set<ShareNo> out;
  (out.insert(ShareNo{static_cast<std::uint64_t>(n)}), ...);
  return out;
}
template <class... B>
std::vector<Bytes> pieces(B... b) {
  std::vector<Bytes> out;
  (out.push_back(std::move(b)), ...);
  return out;
}

// One finished immutable share.
inline Task<bool> store(Server& server, StorageIndex si, ShareNo number, Bytes data) {
  const auto upload = random_secret<32>();
  auto allocation =
      co_await server.allocate(si, numbers(number.value), data.size(), fresh_lease(), upload);
  CHECK(allocation);
  if (!allocation || !allocation->allocated.contains(number)) co_return false;
  auto written = co_await server.write(si, number, upload, 0, data);
  CHECK(written);
  co_return written && written->complete;
}

inline ReadTestWrite put(std::uint64_t number, std::uint64_t offset, Bytes data) {
  ReadTestWrite request;
  request.changes[ShareNo{number}].writes.push_back({offset, std::move(data)});
  return request;
}

inline Task<Bytes> whole(Server& server, StorageIndex si, std::uint64_t number) {
  auto data = co_await server.read(ShareKind::mutable_, si, ShareNo{number}, 0, 1 << 20);
  CHECK(data);
  co_return data ? std::move(*data) : to_bytes("(unreadable)");
}

// --- immutable shares

inline Task<> upload_in_pieces(Server& server) {
  const auto si = fresh_index();
  const auto secret = random_secret<32>();
  const auto data = pattern(1000);
  auto allocation = co_await server.allocate(si, numbers(1, 7), 1000, fresh_lease(), secret);
  REQUIRE(allocation);
  CHECK(allocation->allocated == numbers(1, 7));
  CHECK(allocation->already_have.empty());

  auto late = co_await server.write(si, ShareNo{7}, secret, 600, ByteView(data).subspan(600, 100));
  REQUIRE(late);
  CHECK_FALSE(late->complete);
  CHECK(late->required == std::vector<ByteRange>{{0, 600}, {700, 1000}});
  auto unseen = co_await server.list(ShareKind::immutable, si);
  REQUIRE(unseen);
  CHECK(unseen->empty());
  auto early = co_await server.read(ShareKind::immutable, si, ShareNo{7}, 0, 10);
  CHECK(code(early) == Errc::not_found);

  auto begin = co_await server.write(si, ShareNo{7}, secret, 0, ByteView(data).first(600));
  REQUIRE(begin);
  CHECK(begin->required == std::vector<ByteRange>{{700, 1000}});
  auto end = co_await server.write(si, ShareNo{7}, secret, 700, ByteView(data).subspan(700));
  REQUIRE(end);
  CHECK(end->complete);
  CHECK(end->required.empty());

  auto listed = co_await server.list(ShareKind::immutable, si);
  REQUIRE(listed);
  CHECK(*listed == numbers(7));
  auto all = co_await server.read(ShareKind::immutable, si, ShareNo{7}, 0, 1000);
  REQUIRE(all);
  CHECK(*all == data);
  auto aborted = co_await server.abort(si, ShareNo{1}, secret);
  CHECK(aborted);
}

inline Task<> large_share(Server& server) {
  const auto si = fresh_index();
  const auto data = pattern((3 << 20) + 5);
  const bool stored = co_await store(server, si, ShareNo{0}, data);
  REQUIRE(stored);
  auto all = co_await server.read(ShareKind::immutable, si, ShareNo{0}, 0, 8 << 20);
  REQUIRE(all);
  CHECK(*all == data);
}

inline Task<> reads_are_cut(Server& server) {
  const auto si = fresh_index();
  const auto data = pattern(100);
  const bool stored = co_await store(server, si, ShareNo{0}, data);
  REQUIRE(stored);
  auto middle = co_await server.read(ShareKind::immutable, si, ShareNo{0}, 5, 10);
  REQUIRE(middle);
  CHECK(equal(*middle, ByteView(data).subspan(5, 10)));
  auto across = co_await server.read(ShareKind::immutable, si, ShareNo{0}, 95, 50);
  REQUIRE(across);
  CHECK(equal(*across, ByteView(data).subspan(95)));
  auto behind = co_await server.read(ShareKind::immutable, si, ShareNo{0}, 100, 50);
  REQUIRE(behind);
  CHECK(behind->empty());
  auto far = co_await server.read(ShareKind::immutable, si, ShareNo{0}, 1ull << 60, 50);
  REQUIRE(far);
  CHECK(far->empty());
  auto unknown = co_await server.read(ShareKind::immutable, si, ShareNo{1}, 0, 50);
  CHECK(code(unknown) == Errc::not_found);
  auto nowhere = co_await server.read(ShareKind::immutable, fresh_index(), ShareNo{0}, 0, 50);
  CHECK(code(nowhere) == Errc::not_found);
}

inline Task<> overlapping_writes(Server& server) {
  const auto si = fresh_index();
  const auto secret = random_secret<32>();
  const auto data = pattern(100);
  auto allocation = co_await server.allocate(si, numbers(0), 100, fresh_lease(), secret);
  REQUIRE(allocation);
  auto first = co_await server.write(si, ShareNo{0}, secret, 0, ByteView(data).first(50));
  REQUIRE(first);
  auto again = co_await server.write(si, ShareNo{0}, secret, 20, ByteView(data).subspan(20, 40));
  REQUIRE(again);
  CHECK(again->required == std::vector<ByteRange>{{60, 100}});
  auto other = pattern(20, 9);
  auto differs = co_await server.write(si, ShareNo{0}, secret, 50, other);
  CHECK(code(differs) == Errc::conflict);
  auto outside = co_await server.write(si, ShareNo{0}, secret, 90, other);
  CHECK(code(outside) == Errc::bad_range);
  auto overflow = co_await server.write(si, ShareNo{0}, secret, (1ull << 62), other);
  CHECK(code(overflow) == Errc::bad_range);
  auto rest = co_await server.write(si, ShareNo{0}, secret, 60, ByteView(data).subspan(60));
  REQUIRE(rest);
  CHECK(rest->complete);
  auto late = co_await server.write(si, ShareNo{0}, secret, 60, ByteView(data).subspan(60));
  CHECK(code(late) == Errc::not_found);
}

inline Task<> upload_secrets(Server& server) {
  const auto si = fresh_index();
  const auto secret = random_secret<32>();
  const auto data = pattern(10);
  auto mine = co_await server.allocate(si, numbers(0, 3), 10, fresh_lease(), secret);
  REQUIRE(mine);
  const auto other = random_secret<32>();
  auto theirs = co_await server.allocate(si, numbers(0, 3, 4), 10, fresh_lease(), other);
  REQUIRE(theirs);
  CHECK(theirs->already_have.empty());
  CHECK(theirs->allocated == numbers(4));
  auto write = co_await server.write(si, ShareNo{0}, other, 0, data);
  CHECK(code(write) == Errc::unauthorized);
  auto abort = co_await server.abort(si, ShareNo{0}, other);
  CHECK(code(abort) == Errc::unauthorized);
  auto unknown = co_await server.write(si, ShareNo{9}, secret, 0, data);
  CHECK(code(unknown) == Errc::not_found);
  auto done = co_await server.write(si, ShareNo{0}, secret, 0, data);
  REQUIRE(done);
  CHECK(done->complete);
}

inline Task<> aborted_uploads(Server& server) {
  const auto si = fresh_index();
  const auto secret = random_secret<32>();
  const auto data = pattern(10);
  auto allocation = co_await server.allocate(si, numbers(0), 10, fresh_lease(), secret);
  REQUIRE(allocation);
  auto written = co_await server.write(si, ShareNo{0}, secret, 0, ByteView(data).first(5));
  REQUIRE(written);
  auto aborted = co_await server.abort(si, ShareNo{0}, secret);
  CHECK(aborted);
  auto twice = co_await server.abort(si, ShareNo{0}, secret);
  CHECK(code(twice) == Errc::not_found);
  const bool stored = co_await store(server, si, ShareNo{0}, data);
  CHECK(stored);
  auto complete = co_await server.abort(si, ShareNo{0}, secret);
  CHECK(code(complete) == Errc::refused);
  auto unknown = co_await server.abort(fresh_index(), ShareNo{0}, secret);
  CHECK(code(unknown) == Errc::not_found);
}

inline Task<> shares_that_are_there(Server& server) {
  const auto si = fresh_index();
  const bool zero = co_await store(server, si, ShareNo{0}, pattern(10));
  const bool five = co_await store(server, si, ShareNo{5}, pattern(10));
  REQUIRE((zero && five));
  const auto secret = random_secret<32>();
  auto allocation = co_await server.allocate(si, numbers(5, 6), 10, fresh_lease(), secret);
  REQUIRE(allocation);
  CHECK(allocation->already_have == numbers(0, 5));
  CHECK(allocation->allocated == numbers(6));
  auto listed = co_await server.list(ShareKind::immutable, si);
  REQUIRE(listed);
  CHECK(*listed == numbers(0, 5));
  auto aborted = co_await server.abort(si, ShareNo{6}, secret);
  CHECK(aborted);
}

inline Task<> leases(Server& server) {
  const auto si = fresh_index();
  const auto lease = fresh_lease();
  auto early = co_await server.add_lease(si, lease);
  CHECK(code(early) == Errc::not_found);
  const bool stored = co_await store(server, si, ShareNo{0}, pattern(10));
  REQUIRE(stored);
  for (int i = 0; i < 3; ++i) {
    auto added = co_await server.add_lease(si, i == 1 ? fresh_lease() : lease);
    CHECK(added);
  }
  auto data = co_await server.read(ShareKind::immutable, si, ShareNo{0}, 0, 100);
  REQUIRE(data);
  CHECK(*data == pattern(10));
}

inline Task<> reports(Server& server) {
  const auto si = fresh_index();
  const bool stored = co_await store(server, si, ShareNo{2}, pattern(10));
  REQUIRE(stored);
  auto taken = co_await server.advise_corrupt(ShareKind::immutable, si, ShareNo{2},
                                              "b\xc3\xa4"
                                              "d");
  CHECK(taken);
  auto unknown = co_await server.advise_corrupt(ShareKind::immutable, si, ShareNo{3}, "bad");
  CHECK(code(unknown) == Errc::not_found);
  auto empty = co_await server.list(ShareKind::immutable, fresh_index());
  REQUIRE(empty);
  CHECK(empty->empty());
}

// --- mutable shares

inline Task<> mutable_life(Server& server) {
  const auto si = fresh_index();
  const MutableSecrets secrets{random_secret<32>(), fresh_lease()};
  auto create = put(0, 0, to_bytes("hello world"));
  create.changes[ShareNo{0}].tests.push_back({0, 1, {}});  // must not exist
  create.changes[ShareNo{1}].writes.push_back({3, to_bytes("abc")});
  create.reads.push_back({0, 5});
  auto created = co_await server.read_test_write(si, secrets, create);
  REQUIRE(created);
  CHECK(created->success);
  CHECK(created->data.empty());
  auto listed = co_await server.list(ShareKind::mutable_, si);
  REQUIRE(listed);
  CHECK(*listed == numbers(0, 1));
  const auto hole = co_await whole(server, si, 1);
  CHECK(hole == Bytes{0, 0, 0, 'a', 'b', 'c'});

  auto again = co_await server.read_test_write(si, secrets, create);
  REQUIRE(again);
  CHECK_FALSE(again->success);
  REQUIRE(again->data.size() == 2);
  CHECK(again->data.at(ShareNo{0}) == pieces(to_bytes("hello")));

  // Reads show what was there before the writes, of every share.
  auto edit = put(0, 6, to_bytes("WORLD!"));
  edit.changes[ShareNo{0}].tests.push_back({6, 50, to_bytes("world")});
  edit.reads = {{0, 50}, {100, 5}};
  auto edited = co_await server.read_test_write(si, secrets, edit);
  REQUIRE(edited);
  CHECK(edited->success);
  CHECK(edited->data.at(ShareNo{0}) == pieces(to_bytes("hello world"), Bytes{}));
  CHECK(edited->data.at(ShareNo{1}).size() == 2);
  const auto now = co_await whole(server, si, 0);
  CHECK(as_text(now) == "hello WORLD!");
  auto across = co_await server.read(ShareKind::mutable_, si, ShareNo{0}, 10, 50);
  REQUIRE(across);
  CHECK(as_text(*across) == "D!");
  auto behind = co_await server.read(ShareKind::mutable_, si, ShareNo{0}, 12, 50);
  REQUIRE(behind);
  CHECK(behind->empty());
  auto leased = co_await server.add_lease(si, fresh_lease());
  CHECK(leased);
}

inline Task<> mutable_all_or_nothing(Server& server) {
  const auto si = fresh_index();
  const MutableSecrets secrets{random_secret<32>(), fresh_lease()};
  auto created = co_await server.read_test_write(si, secrets, put(0, 0, to_bytes("one")));
  REQUIRE(created);
  auto request = put(0, 0, to_bytes("ONE"));
  request.changes[ShareNo{0}].tests.push_back({0, 3, to_bytes("one")});
  request.changes[ShareNo{1}].tests.push_back({0, 3, to_bytes("two")});
  request.changes[ShareNo{1}].writes.push_back({0, to_bytes("TWO")});
  auto refused = co_await server.read_test_write(si, secrets, request);
  REQUIRE(refused);
  CHECK_FALSE(refused->success);
  const auto unchanged = co_await whole(server, si, 0);
  CHECK(as_text(unchanged) == "one");
  auto listed = co_await server.list(ShareKind::mutable_, si);
  REQUIRE(listed);
  CHECK(*listed == numbers(0));
}

inline Task<> mutable_lengths(Server& server) {
  const auto si = fresh_index();
  const MutableSecrets secrets{random_secret<32>(), fresh_lease()};
  auto step = co_await server.read_test_write(si, secrets, put(0, 0, to_bytes("0123456789")));
  REQUIRE(step);
  ReadTestWrite cut;
  cut.changes[ShareNo{0}].new_length = 4;
  step = co_await server.read_test_write(si, secrets, cut);
  REQUIRE(step);
  auto now = co_await whole(server, si, 0);
  CHECK(as_text(now) == "0123");
  cut.changes[ShareNo{0}].new_length = 400;
  step = co_await server.read_test_write(si, secrets, cut);
  REQUIRE(step);
  now = co_await whole(server, si, 0);
  CHECK(as_text(now) == "0123");
  // What was cut off does not come back.
  step = co_await server.read_test_write(si, secrets, put(0, 6, to_bytes("x")));
  REQUIRE(step);
  now = co_await whole(server, si, 0);
  CHECK(now == Bytes{'0', '1', '2', '3', 0, 0, 'x'});
  auto both = put(0, 0, to_bytes("abcdefghij"));
  both.changes[ShareNo{0}].new_length = 7;
  step = co_await server.read_test_write(si, secrets, both);
  REQUIRE(step);
  now = co_await whole(server, si, 0);
  CHECK(as_text(now) == "abcdefg");
  auto empty = ReadTestWrite{};
  empty.changes[ShareNo{9}];
  step = co_await server.read_test_write(si, secrets, empty);
  REQUIRE(step);
  auto listed = co_await server.list(ShareKind::mutable_, si);
  REQUIRE(listed);
  CHECK(*listed == numbers(0, 9));
}

inline Task<> mutable_deletion(Server& server) {
  const auto si = fresh_index();
  const MutableSecrets secrets{random_secret<32>(), fresh_lease()};
  auto both = put(0, 0, to_bytes("a"));
  both.changes[ShareNo{1}].writes.push_back({0, to_bytes("b")});
  auto step = co_await server.read_test_write(si, secrets, both);
  REQUIRE(step);
  auto remove = put(1, 0, to_bytes("ignored"));
  remove.changes[ShareNo{1}].new_length = 0;
  remove.changes[ShareNo{6}].new_length = 0;  // was never there
  step = co_await server.read_test_write(si, secrets, remove);
  REQUIRE(step);
  CHECK(step->success);
  CHECK(step->data.size() == 2);
  auto listed = co_await server.list(ShareKind::mutable_, si);
  REQUIRE(listed);
  CHECK(*listed == numbers(0));
  ReadTestWrite last;
  last.changes[ShareNo{0}].new_length = 0;
  step = co_await server.read_test_write(si, secrets, last);
  REQUIRE(step);
  listed = co_await server.list(ShareKind::mutable_, si);
  REQUIRE(listed);
  CHECK(listed->empty());
  // With the last share its write enabler is forgotten.
  const MutableSecrets others{random_secret<32>(), fresh_lease()};
  step = co_await server.read_test_write(si, others, put(0, 0, to_bytes("new")));
  REQUIRE(step);
  CHECK(step->success);
}

inline Task<> write_enablers(Server& server) {
  const auto si = fresh_index();
  const MutableSecrets secrets{random_secret<32>(), fresh_lease()};
  auto created = co_await server.read_test_write(si, secrets, put(0, 0, to_bytes("mine")));
  REQUIRE(created);
  const MutableSecrets thief{random_secret<32>(), fresh_lease()};
  auto stolen = co_await server.read_test_write(si, thief, put(0, 0, to_bytes("gone")));
  CHECK(code(stolen) == Errc::unauthorized);
  auto beside = co_await server.read_test_write(si, thief, put(1, 0, to_bytes("more")));
  CHECK(code(beside) == Errc::unauthorized);
  ReadTestWrite look;
  look.reads.push_back({0, 4});
  auto looked = co_await server.read_test_write(si, thief, look);
  CHECK(code(looked) == Errc::unauthorized);
  auto allowed = co_await server.read_test_write(si, secrets, look);
  REQUIRE(allowed);
  CHECK(allowed->success);
  CHECK(allowed->data.at(ShareNo{0}) == pieces(to_bytes("mine")));
}

inline Task<> kinds_do_not_mix(Server& server) {
  const auto immutable = fresh_index();
  const auto mutable_si = fresh_index();
  const MutableSecrets secrets{random_secret<32>(), fresh_lease()};
  const bool stored = co_await store(server, immutable, ShareNo{0}, pattern(10));
  REQUIRE(stored);
  auto created = co_await server.read_test_write(mutable_si, secrets, put(0, 0, to_bytes("m")));
  REQUIRE(created);
  auto read = co_await server.read(ShareKind::mutable_, immutable, ShareNo{0}, 0, 5);
  CHECK(code(read) == Errc::refused);
  read = co_await server.read(ShareKind::immutable, mutable_si, ShareNo{0}, 0, 5);
  CHECK(code(read) == Errc::refused);
  auto listed = co_await server.list(ShareKind::immutable, mutable_si);
  CHECK(code(listed) == Errc::refused);
  auto written = co_await server.read_test_write(immutable, secrets, put(0, 0, to_bytes("m")));
  CHECK(code(written) == Errc::refused);
  auto allocation =
      co_await server.allocate(mutable_si, numbers(1), 10, fresh_lease(), random_secret<32>());
  CHECK(code(allocation) == Errc::refused);
}

inline Task<> versions(Server& server) {
  auto version = co_await server.version();
  REQUIRE(version);
  CHECK(version->available_space > 0);
  CHECK(version->max_immutable_share_size > 0);
  CHECK(version->max_mutable_share_size == 69105ull * 1'000'000'000'000);
  CHECK_FALSE(version->application_version.empty());
}

// Many at once, on one storage index and on several.
inline Task<> store_one(Server& server, StorageIndex si, std::uint64_t number, int& good) {
  const bool stored = co_await store(server, si, ShareNo{number}, pattern(5000, unsigned(number)));
  auto data = co_await server.read(ShareKind::immutable, si, ShareNo{number}, 0, 9999);
  if (stored && data && *data == pattern(5000, unsigned(number))) ++good;
}
inline Task<> side_by_side(Server& server) {
  TaskGroup group(co_await asio::this_coro::executor);
  const auto same = fresh_index();
  int good = 0;
  for (std::uint64_t i = 0; i < 12; ++i) {
    group.spawn(store_one(server, same, i, good));
    group.spawn(store_one(server, fresh_index(), i, good));
  }
  co_await group.join();
  CHECK(good == 24);
  auto listed = co_await server.list(ShareKind::immutable, same);
  REQUIRE(listed);
  CHECK(listed->size() == 12);
}

}  // namespace conformance

struct ConformanceCase {
  const char* name;
  Task<> (*run)(storage::Server&);
};

inline const std::vector<ConformanceCase>& server_conformance() {
  using namespace conformance;
  static const std::vector<ConformanceCase> all = {
      {"an upload may come in pieces, in any order, and shows when it is whole", upload_in_pieces},
      {"a share of some MiB survives the round trip", large_share},
      {"reads are cut at the end of the share", reads_are_cut},
      {"overlapping writes must agree", overlapping_writes},
      {"an upload belongs to its secret", upload_secrets},
      {"an aborted upload leaves nothing", aborted_uploads},
      {"an allocation lists every share that is there", shares_that_are_there},
      {"leases need a share and do not change it", leases},
      {"reports of damage need a share", reports},
      {"mutable shares are created, tested, read and written in one step", mutable_life},
      {"one failed test stops every write", mutable_all_or_nothing},
      {"lengths of mutable shares", mutable_lengths},
      {"mutable shares can be deleted", mutable_deletion},
      {"only the recorded write enabler counts", write_enablers},
      {"a storage index holds one kind of share", kinds_do_not_mix},
      {"a server says what it can do", versions},
      {"many uploads at once do not disturb each other", side_by_side},
  };
  return all;
}

}  // namespace lafs::grid::fake
