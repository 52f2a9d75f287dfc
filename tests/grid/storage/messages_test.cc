// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/messages.h"

#include <catch2/catch.hpp>

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;

namespace {

Bytes from(std::string_view hex) { return *from_hex(hex); }

ReadTestWrite big_request() {
  ReadTestWrite request;
  auto& change = request.changes[ShareNo{3}];
  change.tests.push_back({0, 1, {}});
  change.tests.push_back({7, 300, Bytes(300, 'x')});
  change.writes.push_back({0, to_bytes("hello world")});
  change.writes.push_back({70000, Bytes(70000, 'y')});
  change.new_length = 12;
  request.changes[ShareNo{255}];
  request.reads = {{0, 5}, {1ull << 40, 1}};
  return request;
}

bool same(const ReadTestWrite& a, const ReadTestWrite& b) {
  return encode_read_test_write(a) == encode_read_test_write(b);
}

}  // namespace

TEST_CASE("an allocation travels in the bytes that Tahoe sends") {
  const auto body = encode_allocate({ShareNo{0}, ShareNo{3}}, 100);
  CHECK(to_hex(body) ==
        "a26d73686172652d6e756d62657273d90102820003"
        "6e616c6c6f63617465642d73697a651864");
  auto back = decode_allocate(body);
  REQUIRE(back);
  CHECK(*back == AllocateRequest{{ShareNo{0}, ShareNo{3}}, 100});

  const auto reply = encode_allocation({{}, {ShareNo{0}, ShareNo{3}}});
  CHECK(to_hex(reply) == "a26c616c72656164792d68617665d901028069616c6c6f6361746564d90102820003");
  auto allocation = decode_allocation(reply);
  REQUIRE(allocation);
  CHECK(allocation->allocated == std::set{ShareNo{0}, ShareNo{3}});
  CHECK(allocation->already_have.empty());
}

TEST_CASE("a write's reply lists the gaps") {
  CHECK(to_hex(encode_required({{10, 100}})) ==
        "a168726571756972656481a265626567696e0a63656e641864");
  CHECK(to_hex(encode_required({})) == "a168726571756972656480");
  auto gaps = decode_required(encode_required({{10, 60}, {80, 100}}));
  REQUIRE(gaps);
  CHECK(*gaps == std::vector<ByteRange>{{10, 60}, {80, 100}});
  CHECK(decode_required(encode_required({{60, 10}})).error().code == Errc::protocol);
}

TEST_CASE("a version survives the round trip and its keys are byte strings") {
  const ServerVersion version{7, 69105ull * 1000000000000, 8, "tahoe-lafs/unknown"};
  const auto body = encode_version(version);
  CHECK(body[1] == 0x58);
  auto back = decode_version(body);
  REQUIRE(back);
  CHECK(back->max_immutable_share_size == 7);
  CHECK(back->max_mutable_share_size == version.max_mutable_share_size);
  CHECK(back->available_space == 8);
  CHECK(back->application_version == "tahoe-lafs/unknown");
}

TEST_CASE("a read-test-write request survives the round trip") {
  const auto request = big_request();
  auto back = decode_read_test_write(encode_read_test_write(request));
  REQUIRE(back);
  CHECK(same(*back, request));
  CHECK(back->changes.at(ShareNo{3}).writes[1].data.size() == 70000);
  CHECK(back->changes.at(ShareNo{3}).new_length == 12);
  CHECK_FALSE(back->changes.at(ShareNo{255}).new_length);
  CHECK(back->reads[1].offset == 1ull << 40);
}

TEST_CASE("a read-test-write request has the recorded bytes") {
  ReadTestWrite request;
  auto& change = request.changes[ShareNo{0}];
  change.tests.push_back({0, 1, {}});
  change.writes.push_back({0, to_bytes("hello world")});
  request.reads.push_back({0, 5});
  CHECK(to_hex(encode_read_test_write(request)) ==
        "a272746573742d77726974652d766563746f7273a100a3647465737481a3666f6666736574006473"
        "697a65016873706563696d656e4065777269746581a2666f66667365740064646174614b68656c6c"
        "6f20776f726c646a6e65772d6c656e677468f66b726561642d766563746f7281a2666f6666736574"
        "006473697a6505");
}

TEST_CASE("a read-test-write reply survives the round trip") {
  ReadTestWriteReply reply;
  reply.success = false;
  reply.data[ShareNo{0}] = {to_bytes("hello"), {}};
  reply.data[ShareNo{1}] = {};
  const auto body = encode_reply(reply);
  CHECK(to_hex(body) == "a26773756363657373f46464617461a200824568656c6c6f400180");
  auto back = decode_reply(body);
  REQUIRE(back);
  CHECK_FALSE(back->success);
  CHECK(back->data == reply.data);
}

TEST_CASE("other spellings of the same CBOR are understood") {
  // Indefinite lengths, wide integers, a plain list for a set, another key order.
  auto request =
      decode_allocate(from("bf7f6a616c6c6f63617465642d6473697a65ff1b0000000000000064"
                           "6d73686172652d6e756d626572739f00190003ffff"));
  CHECK_FALSE(request);  // keys come in one piece
  request =
      decode_allocate(from("bf6e616c6c6f63617465642d73697a651b0000000000000064"
                           "6d73686172652d6e756d626572739f00190003ffff"));
  REQUIRE(request);
  CHECK(*request == AllocateRequest{{ShareNo{0}, ShareNo{3}}, 100});
  auto reason = decode_reason(from("a166726561736f6e7f63626164627365ff"));
  REQUIRE(reason);
  CHECK(*reason == "badse");
}

TEST_CASE("maps are closed") {
  // {"required": [], "x": 1}
  CHECK(decode_required(from("a2687265717569726564806178"
                             "01"))
            .error()
            .code == Errc::protocol);
  // {"required": [], "required": []}
  CHECK_FALSE(
      decode_required(from("a268726571756972656480687265717569726564"
                           "80")));
  CHECK_FALSE(decode_required(from("a0")));
  // one share number twice
  CHECK_FALSE(decode_reply(from("a26773756363657373f46464617461a200800080")));
}

TEST_CASE("claimed lengths allocate nothing and end in an error") {
  const char* hostile[] = {
      "",
      "5bffffffffffffffff",          // bytes of 2^64-1
      "7bffffffffffffffff",          // text
      "9bffffffffffffffff",          // list
      "bbffffffffffffffff",          // map
      "d901029bffffffffffffffff00",  // set
      "a1687265717569726564"
      "9bffffffffffffffff",
      "a1687265717569726564"
      "9f",                  // never ends
      "a166726561736f6e7f",  // text in pieces, never ends
      "a166726561736f6e7bffffffffffffffff61",
      "ff",
      "f6",
      "f97e00",
      "20",
      "1c",
      "d90102",
      "c0c0c0c0c0c0c0",
  };
  for (const auto* text : hostile) {
    const auto body = from(text);
    CAPTURE(text);
    CHECK_FALSE(decode_allocate(body));
    CHECK_FALSE(decode_allocation(body));
    CHECK_FALSE(decode_version(body));
    CHECK_FALSE(decode_share_set(body));
    CHECK_FALSE(decode_required(body));
    CHECK_FALSE(decode_reason(body));
    CHECK_FALSE(decode_read_test_write(body));
    CHECK_FALSE(decode_reply(body));
  }
}

TEST_CASE("a request that was cut anywhere, or goes on after its end, is refused") {
  const auto body = encode_read_test_write(big_request());
  for (std::size_t n = 0; n < 400; ++n) {
    auto cut = decode_read_test_write(ByteView(body).first(n));
    REQUIRE_FALSE(cut);
    REQUIRE(cut.error().code == Errc::protocol);
  }
  auto longer = body;
  longer.push_back(0);
  CHECK_FALSE(decode_read_test_write(longer));
}

TEST_CASE("more vectors or shares than the protocol allows are refused") {
  ReadTestWrite request;
  request.reads.resize(30);
  CHECK(decode_read_test_write(encode_read_test_write(request)));
  request.reads.resize(31);
  CHECK_FALSE(decode_read_test_write(encode_read_test_write(request)));
  request.reads.clear();
  request.changes[ShareNo{0}].tests.resize(31);
  CHECK_FALSE(decode_read_test_write(encode_read_test_write(request)));
  std::set<ShareNo> numbers;
  for (std::uint64_t i = 0; i < 256; ++i) numbers.insert(ShareNo{i});
  CHECK(decode_share_set(encode_share_set(numbers)));
  numbers.insert(ShareNo{256});
  CHECK_FALSE(decode_share_set(encode_share_set(numbers)));
}

TEST_CASE("a reason is cut at a character's boundary and never empty") {
  std::string reason(32756, 'a');
  reason += "\xc3\xa9";
  CHECK(encode_reason(reason).size() == 32767);  // a body may have 32768 bytes
  auto back = decode_reason(encode_reason(reason));
  REQUIRE(back);
  CHECK(*back == std::string(32756, 'a'));
  CHECK(decode_reason(encode_reason("")));
  CHECK_FALSE(decode_reason(from("a166726561736f6e60")));
}
