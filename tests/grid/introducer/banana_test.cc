// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/banana.h"

#include <catch2/catch.hpp>

#include "grid/crypto/hash.h"
#include "grid/introducer/messages.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::introducer;

namespace {

struct Heard {
  std::vector<Value> values;
  std::vector<std::uint64_t> pings;
  Result<> outcome;
};

// `step`: how many bytes come at a time.
Heard read(ByteView bytes, bool vocabulary = false, std::size_t step = 1000,
           BananaReader::Limits limits = {}) {
  Heard out;
  BananaReader reader(vocabulary, limits);
  while (!bytes.empty() && out.outcome) {
    const auto part = bytes.first(std::min(step, bytes.size()));
    bytes = bytes.subspan(part.size());
    out.outcome = reader.feed(part, [&](BananaReader::Event event) {
      if (auto* ping = std::get_if<BananaReader::Ping>(&event)) out.pings.push_back(ping->number);
      if (auto* value = std::get_if<Value>(&event)) out.values.push_back(*value);
    });
  }
  return out;
}

Heard read_hex(std::string_view hex, bool vocabulary = false) {
  return read(*from_hex(hex), vocabulary);
}

Call call_of(const Value& value) {
  auto message = parse_message(value);
  REQUIRE(message);
  REQUIRE(*message);
  return std::get<Call>(**message);
}

}  // namespace

TEST_CASE("the recorded session is written byte for byte") {
  BananaWriter writer;
  Call find;
  find.request = 1;
  find.method = "getReferenceByName";
  find.named.emplace("name", Value(std::string("swiss")));
  CHECK(to_hex(writer.write(call_message(find))) ==
        "0088048263616c6c0181008112826765745265666572656e636542794e616d6501880982617267756d656e7473"
        "008104826e616d650582737769737301890089");
  Call version;
  version.request = 2;
  version.object = 1;
  version.method = "get_version";
  CHECK(to_hex(writer.write(call_message(version))) ==
        "0288048263616c6c028101810b826765745f76657273696f6e03880982617267756d656e7473008103890289");
  Call subscribe;
  subscribe.request = 3;
  subscribe.object = 1;
  subscribe.method = "subscribe_v2";
  subscribe.arguments = {reference({1, "RIIntroducerSubscriberClient_v2.tahoe.allmydata.com", {}}),
                         Value(std::string("storage")),
                         sequence("dict", {Value(std::string("version")), Value(std::int64_t{0})})};
  CHECK(to_hex(writer.write(call_message(subscribe))) ==
        "0488048263616c6c038101810c827375627363726962655f763205880982617267756d656e7473038106880c82"
        "6d792d7265666572656e6365018133825249496e74726f647563657253756273637269626572436c69656e745f"
        "76322e7461686f652e616c6c6d79646174612e636f6d0689078273746f72616765078804826469637407827665"
        "7273696f6e0081078905890489");
  CHECK(to_hex(writer.write(answer_message(1, none()))) ==
        "08880682616e737765720181098804826e6f6e6509890889");
}

TEST_CASE("a call in the words of vocabulary table 1 is understood") {
  const auto heard = read_hex(
      "0b880b8701810081068264656372656600880c87008104"
      "82636c69640181"
      "0582636f756e74018100890b89",
      true);
  REQUIRE(heard.outcome);
  REQUIRE(heard.values.size() == 1);
  const auto call = call_of(heard.values[0]);
  CHECK(call.method == "decref");
  CHECK(call.object == broker_object);
  REQUIRE(call.argument(0, "clid"));
  CHECK(*call.argument(0, "clid")->number() == 1);
  CHECK(*call.argument(1, "count")->number() == 1);
  // Without the table the same bytes mean nothing.
  CHECK(read_hex("0b880b87", false).outcome.error().code == Errc::protocol);
}

TEST_CASE("the vocabulary's hash is what is negotiated") {
  std::string joined;
  for (const auto word : vocabulary_table()) {
    if (!joined.empty()) joined.push_back('\0');
    joined += word;
  }
  CHECK(to_hex(sha1(as_bytes(joined))).substr(0, 4) == vocabulary_hash);
  CHECK(to_hex(sha1({})).substr(0, 4) == no_vocabulary_hash);
}

TEST_CASE("numbers survive the way there and back, however the stream is cut") {
  const std::vector<std::int64_t> numbers = {
      0, 1, 127, 128, 452, -1, -128, 2147483647, 2147483648, -2147483648, INT64_MAX, -INT64_MAX};
  std::vector<Value> items;
  for (const auto n : numbers) items.emplace_back(n);
  items.emplace_back(0.5);
  items.push_back(unicode("caf\xc3\xa9"));
  BananaWriter writer;
  const auto bytes = writer.write(sequence("list", items));
  for (const std::size_t step : {1u, 2u, 3u, 7u, 1000u}) {
    const auto heard = read(bytes, false, step);
    REQUIRE(heard.outcome);
    REQUIRE(heard.values.size() == 1);
    const auto* list = heard.values[0].sequence("list");
    REQUIRE(list);
    REQUIRE(list->items.size() == numbers.size() + 2);
    for (std::size_t i = 0; i < numbers.size(); ++i) CHECK(*list->items[i].number() == numbers[i]);
    CHECK(*list->items[numbers.size()].real() == 0.5);
    CHECK(*list->items[numbers.size() + 1].text() == "caf\xc3\xa9");
  }
}

TEST_CASE("a container that comes twice is referred to by its number") {
  // (list (tuple "a") (reference 1))
  const auto heard = read_hex(
      "0088"
      "04826c697374"
      "0188"
      "05827475706c65"
      "018261"
      "0189"
      "0288"
      "09827265666572656e6365"
      "0181"
      "0289"
      "0089");
  REQUIRE(heard.outcome);
  const auto* list = heard.values.at(0).sequence("list");
  REQUIRE(list);
  REQUIRE(list->items.size() == 2);
  REQUIRE(list->items[1].sequence("tuple"));
  CHECK(*list->items[1].sequence("tuple")->items[0].bytes() == "a");
  // To itself, to nothing, to a later one: refused.
  CHECK_FALSE(read_hex("008804826c697374018809827265666572656e6365008101890089").outcome);
  CHECK_FALSE(read_hex("008804826c697374018809827265666572656e6365098101890089").outcome);
}

TEST_CASE("pings are heard between the tokens of a message") {
  BananaWriter writer;
  auto bytes = writer.write(sequence("list", {Value(std::int64_t{5})}));
  const Bytes ping = {0x07, 0x8e};
  bytes.insert(bytes.begin() + 2, ping.begin(), ping.end());
  const auto heard = read(bytes);
  CHECK(heard.outcome);
  CHECK(heard.pings == std::vector<std::uint64_t>{7});
  CHECK(heard.values.size() == 1);
  CHECK(to_hex(BananaWriter::pong(7)) == "078f");
}

TEST_CASE("what the sender gives up on vanishes") {
  // (list 1 ABORT), then (list 2)
  const auto heard = read_hex(
      "008804826c69737401818a0089"
      "018804826c69737402810189");
  REQUIRE(heard.outcome);
  REQUIRE(heard.values.size() == 1);
  CHECK(*heard.values[0].sequence("list")->items[0].number() == 2);
}

TEST_CASE("bytes that are no Banana end the stream") {
  for (const auto* hex : {
           "80",                    // LIST
           "0181",                  // a value outside a message
           "0089",                  // CLOSE without OPEN
           "008804826c6973740189",  // CLOSE of another number
           "00880089",              // no kind
           "00880188",              // a kind that is a sequence
           "8a",                    // ABORT outside
           "90",                    // unknown type
           "008804826c697374"
           "7f7f7f7f7f7f7f7f7f7f81",  // a number of more than 63 bits
           "008804826c697374"
           "0085"
           "0989",
       }) {
    INFO(hex);
    const auto heard = read_hex(hex);
    CHECK_FALSE((heard.outcome && !heard.values.empty()));
  }
  const auto said = read_hex(
      "0588"
      "02826f6b"
      "058d"
      "6f6f707321");
  REQUIRE_FALSE(said.outcome);
  CHECK(said.outcome.error().code == Errc::refused);
  CHECK(said.outcome.error().context.find("oops!") != std::string::npos);
}

TEST_CASE("a peer cannot make us hold more than the limits") {
  BananaReader::Limits limits;
  limits.string = 10;
  limits.depth = 3;
  limits.values = 5;
  limits.message = 200;
  const auto outcome = [&](const Value& value) {
    BananaWriter writer;
    return read(writer.write(value), false, 1000, limits).outcome;
  };
  CHECK(outcome(sequence("list", {Value(std::string(10, 'x'))})));
  CHECK_FALSE(outcome(sequence("list", {Value(std::string(11, 'x'))})));
  CHECK_FALSE(outcome(sequence("list", {sequence("list", {sequence("list", {none()})})})));
  CHECK_FALSE(outcome(sequence("list", std::vector<Value>(6, Value(std::int64_t{1})))));
  CHECK_FALSE(outcome(sequence("list", std::vector<Value>(30, Value(std::string(8, 'x'))))));
  // A string that claims four gigabytes is refused at its header.
  CHECK_FALSE(read_hex("008804826c697374"
                       "0000000010"
                       "82")
                  .outcome);
}

TEST_CASE("malformed calls are errors, unknown messages are nothing") {
  for (const auto& value :
       {sequence("call"), sequence("call", {Value(std::int64_t{1})}),
        sequence("call", {Value(std::int64_t{1}), Value(std::int64_t{1}), Value(std::string("m")),
                          sequence("arguments", {Value(std::int64_t{3})})}),
        sequence("call", {Value(std::int64_t{-1}), Value(std::int64_t{1}), Value(std::string("m")),
                          sequence("arguments", {Value(std::int64_t{0})})}),
        sequence("answer", {none()}), sequence("error", {Value(std::int64_t{1})}),
        Value(std::int64_t{1})}) {
    CHECK_FALSE(parse_message(value));
  }
  const auto other = parse_message(sequence("set-vocab"));
  REQUIRE(other);
  CHECK_FALSE(*other);
  const auto failure = parse_message(failure_message(4, "builtins.KeyError", "no such name"));
  REQUIRE(failure);
  const auto& said = std::get<Failure>(**failure);
  CHECK(said.request == 4);
  CHECK(said.type == "builtins.KeyError");
  CHECK(said.text == "no such name");
}
