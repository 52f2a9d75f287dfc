// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/json.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "grid/directory/metadata.h"

using namespace lafs;
using namespace lafs::grid;

TEST_CASE("numbers are printed as Python prints them") {
  const std::pair<double, const char*> cases[] = {
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1.0, "1.0"},
      {0.1, "0.1"},
      {1e22, "1e+22"},
      {1e16, "1e+16"},
      {1e15, "1000000000000000.0"},
      {123456789012345680.0, "1.2345678901234568e+17"},
      {1700000000.1234567, "1700000000.1234567"},
      {0.0001, "0.0001"},
      {0.00001, "1e-05"},
      {1.5e-7, "1.5e-07"},
      {5e-324, "5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {-2.5, "-2.5"},
      {std::numeric_limits<double>::infinity(), "Infinity"},
      {-std::numeric_limits<double>::infinity(), "-Infinity"},
      {std::nan(""), "NaN"},
  };
  for (const auto& [value, text] : cases) {
    CHECK(print_json(Json(value)) == text);
    auto back = parse_json(text);
    REQUIRE(back);
    CHECK(print_json(*back) == text);
  }
}

TEST_CASE("what is printed is what was parsed") {
  for (const char* text : {
           R"({"b": 1, "a": [true, false, null], "": {}})",
           R"("\"\\\b\f\n\r\t\u0000\u007f\u00e9\u2028\ud83d\ude00")",
           R"("\ud800 alone")",
           R"("\udc00\ud800")",
           "123456789012345678901234567890",
           "-7",
           "[]",
           "[1.0, 1, 1e+100]",
       }) {
    INFO(text);
    auto parsed = parse_json(text);
    REQUIRE(parsed);
    CHECK(print_json(*parsed) == text);
  }
  CHECK(print_json(*parse_json(" {\"a\":1 ,\n\"a\" : 2,\t\"b\":\"/\\/\"} ")) ==
        R"({"a": 2, "b": "//"})");
  CHECK(print_json(*parse_json("1E5")) == "100000.0");
  CHECK(print_json(*parse_json("-0")) == "0");
  CHECK(print_json(*parse_json("1e999")) == "Infinity");
  CHECK(print_json(*parse_json("-1e-999")) == "-0.0");
}

TEST_CASE("what is not JSON is refused") {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "[1,]",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{\"a\"}",
                           "{1:2}",
                           "\"",
                           "\"\\x\"",
                           "\"\\u12g4\"",
                           "\"\n\"",
                           "01",
                           "+1",
                           ".5",
                           "1.",
                           "1e",
                           "--1",
                           "nul",
                           "True",
                           "1 2",
                           "[1 2]",
                           "\"\xff\"",
                           "\"\xc0\x80\"",
                           "\"\xed\xa0\x80\"",
                           "\xef\xbb\xbf{}",
                           "'a'"}) {
    INFO(text);
    CHECK_FALSE(parse_json(text));
  }
  const std::string deep(100000, '[');
  CHECK(parse_json(deep).error().code == Errc::corrupt);
}

TEST_CASE("many keys do not cost their square") {
  std::string text = "{";
  for (int i = 0; i < 100000; ++i) {
    text += (i ? ", \"" : "\"") + std::to_string(i) + "\": 0";
  }
  text += "}";
  auto parsed = parse_json(text);
  REQUIRE(parsed);
  CHECK(parsed->as<Json::Object>()->size() == 100000);
}

TEST_CASE("damaged POSIX facts read as not set, part by part") {
  const auto facts = [](std::string_view json) {
    auto metadata = Metadata::parse(json);
    REQUIRE(metadata);
    return metadata->posix();
  };
  CHECK(facts("{}") == PosixFacts());
  CHECK(facts(R"({"lafs": 5})") == PosixFacts());
  CHECK(facts(R"({"lafs": {"mode": -1, "uid": 4294967296, "gid": "x", "mtime": [1], "kind": "w",
                  "atime": [1, 1000000000], "ctime": [1.0, 2], "xattrs": {"a": "?", "": "AA=="}}})") ==
        PosixFacts());
  const auto some = facts(R"({"lafs": {"mode": 420, "uid": 1e3, "kind": "fifo"}})");
  CHECK(some.mode == 0644);
  CHECK_FALSE(some.uid);
  CHECK(some.kind == PosixFacts::Kind::fifo);
  Metadata metadata;
  metadata.set_posix(some);
  CHECK(metadata.text() == R"({"lafs": {"kind": "fifo", "mode": 420}})");
  metadata.set_posix(PosixFacts());
  CHECK(metadata.text() == "{}");
  CHECK(Metadata::parse("[]").error().code == Errc::corrupt);
}
