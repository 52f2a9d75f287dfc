// SPDX-License-Identifier: Apache-2.0

// Sessions recorded from Foolscap itself, read by our own parsers.

#include <catch2/catch.hpp>
#include <fstream>

#include "grid/base/bytes.h"
#include "grid/introducer/client.h"
#include "grid/introducer/messages.h"

using namespace lafs;
using namespace lafs::grid::introducer;

namespace {

// The bytes of both sides in the order in which they went: (from the client?, bytes).
std::vector<std::pair<bool, Bytes>> transcript(const char* name) {
  std::vector<std::pair<bool, Bytes>> out;
  std::ifstream in(std::string(LAFS_SOURCE_ROOT "/tests/grid/introducer/transcripts/") + name);
  REQUIRE(in);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#') || line.size() < 2) continue;
    if (line[0] != '.') out.emplace_back(line[0] == '>', Bytes{});
    for (std::size_t i = 2; i + 1 < line.size(); i += 2) {
      out.back().second.push_back(
          static_cast<std::uint8_t>(std::stoi(line.substr(i, 2), nullptr, 16)));
    }
  }
  return out;
}

struct Heard {
  std::vector<Call> calls;
  std::vector<Answer> answers;
};

// One side's stream, in pieces of so many bytes.
Heard hear(const char* name, bool client, std::size_t piece) {
  Heard out;
  BananaReader reader(true);
  for (const auto& [from_client, bytes] : transcript(name)) {
    if (from_client != client) continue;
    for (std::size_t i = 0; i < bytes.size(); i += piece) {
      const auto part = ByteView(bytes).subspan(i, std::min(piece, bytes.size() - i));
      REQUIRE(reader.feed(part, [&](BananaReader::Event event) {
        auto message = parse_message(std::get<Value>(event));
        REQUIRE(message);
        REQUIRE(*message);
        if (auto* call = std::get_if<Call>(&**message)) out.calls.push_back(std::move(*call));
        if (auto* answer = std::get_if<Answer>(&**message))
          out.answers.push_back(std::move(*answer));
      }));
    }
  }
  return out;
}

}  // namespace

TEST_CASE("what a client of Foolscap says to an introducer is understood") {
  for (const std::size_t piece : {1u, 7u, 100'000u}) {
    const auto heard = hear("foolscap_client.txt", true, piece);
    REQUIRE(heard.calls.size() == 4);
    CHECK(heard.calls[0].method == "getReferenceByName");
    CHECK(heard.calls[0].object == broker_object);
    CHECK(heard.calls[1].method == "get_version");
    const auto& subscribe = heard.calls[2];
    CHECK(subscribe.method == "subscribe_v2");
    const auto subscriber = reference_of(*subscribe.argument(0, "subscriber"));
    REQUIRE(subscriber);
    CHECK(subscriber->interface == subscriber_interface);
    CHECK(*subscribe.argument(1, "service_name")->text() == "storage");
    const auto& publish = heard.calls[3];
    CHECK(publish.method == "publish_v2");
    const auto announcement = announcement_of(*publish.argument(0, "announcement"));
    REQUIRE(announcement);
    const auto verified = verify(*announcement);
    REQUIRE(verified);
    CHECK(verified->nickname == "two");
    CHECK(verified->number == 2);
    CHECK(heard.answers.size() == 2);  // to the announcements that it was told of
  }
}

TEST_CASE("what an introducer of Foolscap says to a client is understood") {
  for (const std::size_t piece : {1u, 7u, 100'000u}) {
    const auto heard = hear("foolscap_client.txt", false, piece);
    REQUIRE(heard.answers.size() == 4);
    const auto found = reference_of(heard.answers[0].value);
    REQUIRE(found);
    CHECK(found->interface == service_interface);
    const auto* version = heard.answers[1].value.sequence("dict");
    REQUIRE(version);
    CHECK(version->find(protocol_version));
    std::vector<std::string> nicknames;
    for (const auto& call : heard.calls) {
      if (call.method != "announce_v2") continue;  // else it lets go of what it was passed
      const auto* set = call.argument(0, "announcements")->any_sequence();
      REQUIRE(set);
      for (const auto& item : set->items)
        nicknames.push_back(verify(*announcement_of(item)).value().nickname);
    }
    CHECK(nicknames == std::vector<std::string>{"two", "told"});
  }
}
