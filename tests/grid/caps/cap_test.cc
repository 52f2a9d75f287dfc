// SPDX-License-Identifier: Apache-2.0
#include "grid/caps/cap.h"

#include <catch2/catch.hpp>
#include <random>

#include "grid/base/log.h"

using namespace lafs;
using namespace lafs::grid;
using Problem = UnknownCap::Problem;

namespace {

const std::string K = "yzxcoagbetwet65ltjpbqyli3m";
const std::string H = "6b7inuiha2xdtgqzd55i6aeggutnxzr6qfwpv2ep5xlln6pgef7a";
const std::string CHK = K + ":" + H + ":3:10:1000";
const std::string KH = K + ":" + H;

// One of each of the eighteen kinds.
const std::vector<std::string> kAllKinds = {
    "URI:LIT:nbswy3dp",      "URI:CHK:" + CHK,         "URI:CHK-Verifier:" + CHK,
    "URI:SSK:" + KH,         "URI:SSK-RO:" + KH,       "URI:SSK-Verifier:" + KH,
    "URI:MDMF:" + KH,        "URI:MDMF-RO:" + KH,      "URI:MDMF-Verifier:" + KH,
    "URI:DIR2-LIT:nbswy3dp", "URI:DIR2-CHK:" + CHK,    "URI:DIR2-CHK-Verifier:" + CHK,
    "URI:DIR2:" + KH,        "URI:DIR2-RO:" + KH,      "URI:DIR2-Verifier:" + KH,
    "URI:DIR2-MDMF:" + KH,   "URI:DIR2-MDMF-RO:" + KH, "URI:DIR2-MDMF-Verifier:" + KH,
};

Problem problem_of(std::string_view text, bool deep_immutable = false) {
  const Cap cap = Cap::parse(text, deep_immutable);
  REQUIRE(cap.is_unknown());
  CHECK(cap.text() == text);
  return cap.as<UnknownCap>()->problem;
}

}  // namespace

TEST_CASE("a cap of any kind is printed as it was read") {
  for (const auto& text : kAllKinds) {
    INFO(text);
    const Cap cap = Cap::parse(text);
    CHECK_FALSE(cap.is_unknown());
    CHECK(cap.text() == text);
    CHECK(cap == Cap::parse(text));
    CHECK(Cap::parse_known("  " + text + " \n") == cap);
    CHECK(cap.is_directory() == (text.find("DIR2") != std::string::npos));
  }
}

TEST_CASE("weakening follows the specification's example and keeps the kind of object") {
  const auto read_only = [](const std::string& text) {
    return Cap::parse(text).read_only()->text();
  };
  const auto verifier = [](const std::string& text) { return Cap::parse(text).verifier()->text(); };
  const std::string read_key = "iuermnkli32sevp5ex2vt6hiwy";
  const std::string index = "wvy2ehtj6uvz5x5hzx2xueo6sy";
  for (const std::string prefix : {"URI:SSK", "URI:MDMF", "URI:DIR2", "URI:DIR2-MDMF"}) {
    CHECK(read_only(prefix + ":" + KH) == prefix + "-RO:" + read_key + ":" + H);
    CHECK(verifier(prefix + ":" + KH) == prefix + "-Verifier:" + index + ":" + H);
    CHECK(verifier(prefix + "-RO:" + read_key + ":" + H) ==
          prefix + "-Verifier:" + index + ":" + H);
  }
  CHECK(verifier("URI:CHK:" + CHK) ==
        "URI:CHK-Verifier:i5nhq74zw2crkop634ra4hrvzm:" + H + ":3:10:1000");
  CHECK(verifier("URI:DIR2-CHK:" + CHK) ==
        "URI:DIR2-CHK-Verifier:i5nhq74zw2crkop634ra4hrvzm:" + H + ":3:10:1000");
  CHECK(Cap::parse("URI:SSK:" + KH).storage_index()->text() == index);
}

TEST_CASE("weakening ends: a read-only cap and a verifier give themselves") {
  for (const auto& text : kAllKinds) {
    INFO(text);
    const Cap cap = Cap::parse(text);
    const auto weak = cap.read_only();
    REQUIRE(weak);
    CHECK(weak->is_read_only());
    CHECK(weak->read_only() == weak);
    CHECK(weak->is_directory() == cap.is_directory());
    CHECK(cap.verifier().has_value() != cap.is_literal());
    if (const auto weakest = cap.verifier()) {
      CHECK(weakest->is_verifier());
      CHECK_FALSE(weakest->is_mutable());
      CHECK(weakest->verifier() == weakest);
      CHECK(weakest->read_only() == weakest);
      CHECK(weakest->storage_index() == cap.storage_index());
      CHECK(weak->verifier() == weakest);
    } else {
      CHECK_FALSE(cap.storage_index().has_value());
    }
  }
}

TEST_CASE("only immutable objects have a size") {
  CHECK(Cap::parse("URI:LIT:").size() == 0u);
  CHECK(Cap::parse("URI:DIR2-LIT:nbswy3dp").size() == 5u);
  CHECK(Cap::parse("URI:CHK:" + CHK).size() == 1000u);
  CHECK(Cap::parse("URI:DIR2-CHK-Verifier:" + CHK).size() == 1000u);
  CHECK_FALSE(Cap::parse("URI:SSK:" + KH).size().has_value());
  CHECK_FALSE(Cap::parse("URI:nothing").size().has_value());
  CHECK_FALSE(Cap().size().has_value());
}

TEST_CASE("a mistyped character anywhere gives another cap or none, never the same") {
  std::mt19937 rng(5);
  const std::string characters = "abcdefghijklmnopqrstuvwxyz234567ABZ019:. \n\t=-\x80\xff";
  for (const auto& text : kAllKinds) {
    const Cap cap = Cap::parse(text);
    for (std::size_t i = 0; i < text.size(); ++i) {
      std::string other = text;
      other[i] = characters[rng() % characters.size()];
      if (other == text) continue;
      const Cap read = Cap::parse(other);
      INFO(other);
      CHECK_FALSE(read == cap);
      // Printing is canonical: what is printed is read as the same again.
      CHECK(Cap::parse(read.text()) == read);
    }
  }
}

TEST_CASE("every cut-off beginning of a cap is safe to read") {
  for (const auto& text : kAllKinds)
    for (std::size_t n = 0; n < text.size(); ++n) {
      const Cap cap = Cap::parse(std::string_view(text).substr(0, n));
      CHECK(Cap::parse(cap.text()) == cap);
    }
}

TEST_CASE("what does not end properly is a damaged cap") {
  for (const auto* prefix : {"URI:SSK:", "URI:SSK-RO:", "URI:SSK-Verifier:", "URI:DIR2:"}) {
    CHECK_FALSE(Cap::parse(prefix + KH + "\n").is_unknown());
    for (const auto* tail : {"x", " ", "\n\n", "\r\n", ":", ":3:131072"})
      CHECK(problem_of(prefix + KH + tail) == Problem::bad_uri);
  }
  for (const auto* tail : {"x", " ", "\n\n", "\r\n", ":", ":more", "-"})
    CHECK(problem_of("URI:CHK:" + CHK + tail) == Problem::bad_uri);
}

TEST_CASE("MDMF hints are dropped, and only after a colon") {
  const std::string plain = "URI:MDMF:" + KH;
  for (const auto* tail : {":", ":3:131072", ":anything at all\n\n", "\n"})
    CHECK(Cap::parse(plain + tail).text() == plain);
  CHECK(problem_of(plain + "x") == Problem::bad_uri);
  CHECK(problem_of(plain + "\n\n") == Problem::bad_uri);
}

TEST_CASE("what follows the size of a verify cap is ignored") {
  const std::string plain = "URI:CHK-Verifier:" + CHK;
  for (const auto* tail : {"junk", ":more", " ", "\n\n"})
    CHECK(Cap::parse(plain + tail).text() == plain);
  CHECK(problem_of("URI:CHK-Verifier:" + KH + ":3:10:") == Problem::bad_uri);
}

TEST_CASE("numbers are digits that fit 64 bits, and nothing more is asked of them") {
  const std::string start = "URI:CHK:" + KH;
  CHECK(Cap::parse(start + ":0:0:0").text() == start + ":0:0:0");
  CHECK(Cap::parse(start + ":5:3:18446744073709551615").size() == ~0ULL);
  CHECK(Cap::parse(start + ":003:0010:0056").text() == start + ":3:10:56");
  CHECK(Cap::parse(start + ":3:10:000000000000000000000000000056").size() == 56u);
  for (const auto* numbers : {":3:10:18446744073709551616", ":3:10:99999999999999999999999999",
                              ":+3:10:56", ":-3:10:56", ": 3:10:56", ":3:10:", ":3::56", "::10:56",
                              ":3:10", ":3:10:5 6", ":0x3:10:56", ":3:10:5e3"})
    CHECK(problem_of(start + numbers) == Problem::bad_uri);
}

TEST_CASE("base32 in caps is strict") {
  CHECK(problem_of("URI:SSK:" + K.substr(0, 25) + "n:" + H) ==
        Problem::bad_uri);  // unused bits set
  CHECK(problem_of("URI:SSK:" + K + ":" + H.substr(0, 51) + "b") == Problem::bad_uri);
  CHECK_FALSE(Cap::parse("URI:SSK:" + K + ":" + H.substr(0, 51) + "q").is_unknown());
  std::string upper = KH;
  upper[0] = 'Y';
  CHECK(problem_of("URI:SSK:" + upper) == Problem::bad_uri);
  for (const auto* good : {"", "aa", "me", "aaaa", "aaaaaaab"})
    CHECK_FALSE(Cap::parse(std::string("URI:LIT:") + good).is_unknown());
  for (const auto* bad : {"a", "ab", "mf", "abc", "me======", "ME", "me me", "\n\n"})
    CHECK(problem_of(std::string("URI:LIT:") + bad) == Problem::bad_uri);
}

TEST_CASE("alleged prefixes are checked and then forgotten") {
  const std::string write = "URI:DIR2:" + KH, read = "URI:DIR2-RO:" + KH, chk = "URI:CHK:" + CHK;
  CHECK(problem_of("ro." + write) == Problem::must_be_read_only);
  CHECK(problem_of("imm." + write) == Problem::must_be_deep_immutable);
  CHECK(problem_of("imm." + read) == Problem::must_be_deep_immutable);
  CHECK(Cap::parse("ro." + read).text() == read);
  CHECK(Cap::parse("imm." + chk).text() == chk);
  CHECK(Cap::parse("ro.URI:DIR2-Verifier:" + KH).text() == "URI:DIR2-Verifier:" + KH);
  CHECK(problem_of("imm.ro." + chk) == Problem::none);
  CHECK(problem_of("ro.imm." + chk) == Problem::none);
  CHECK(problem_of("ro.URI:CHK:damaged") == Problem::bad_uri);
  CHECK(problem_of("RO." + chk) == Problem::none);
}

TEST_CASE("an immutable directory cannot hold anything mutable") {
  for (const auto& text : kAllKinds) {
    const Cap cap = Cap::parse(text);
    const Cap found = Cap::parse(text, true);
    const bool allowed = !cap.is_mutable();
    CHECK((found == cap) == allowed);
    if (!allowed) {
      CHECK(problem_of(text, true) == Problem::must_be_deep_immutable);
      CHECK(problem_of("ro." + text, true) == Problem::must_be_deep_immutable);
    }
  }
}

TEST_CASE("unknown caps are kept to the byte") {
  using namespace std::string_literals;
  for (const auto& text : {""s, "URI:NEW:abc"s, "lafs://x"s, " URI:LIT:me"s, "uri:lit:me"s, "URI:"s,
                           "URI:LIT"s, "\0\xff"s, "ro."s, "imm."s})
    CHECK(problem_of(text) == Problem::none);
}

TEST_CASE("a message about a wrong cap says what to do and shows no key") {
  for (const auto& text :
       {std::string(), std::string("hello"), "URI:NEW:" + K, "URI:CHK:" + KH + ":3:10",
        "ro.URI:SSK:" + KH, "imm.URI:SSK-RO:" + KH, "URI:SSK:" + K + ":" + H.substr(1)}) {
    const auto cap = Cap::parse_known(text);
    REQUIRE_FALSE(cap);
    CHECK(cap.error().code == Errc::bad_cap);
    CHECK_FALSE(cap.error().context.empty());
    CHECK(cap.error().context.find(K) == std::string::npos);
  }
}

TEST_CASE("prefix predicates look behind one alleged prefix") {
  CHECK(has_literal_prefix("URI:LIT:"));
  CHECK(has_literal_prefix("imm.URI:LIT:x"));
  CHECK_FALSE(has_literal_prefix("URI:DIR2-LIT:me"));
  CHECK_FALSE(has_literal_prefix("ro.imm.URI:LIT:me"));
  CHECK(has_cap_prefix("ro.URI:anything"));
  CHECK_FALSE(has_cap_prefix("ro.ro.URI:anything"));
  CHECK_FALSE(has_cap_prefix(""));
}

TEST_CASE("the log shows the kind of every cap and none of its keys") {
  for (const auto& text : kAllKinds) {
    if (text.find("LIT") != std::string::npos) continue;
    CHECK(log::redact("reading " + text + " failed").find(K) == std::string::npos);
  }
}
