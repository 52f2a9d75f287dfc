// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/negotiation.h"

#include <catch2/catch.hpp>

using namespace lafs;
using namespace lafs::grid::introducer;

namespace {
const std::string low = "gfegek6cmbiybrhoiidomw6bgc4empfg",
                  high = "zfzcmaxtmoneuedkxnq5am4c2a6hkjcl";
}

TEST_CASE("the upgrade is asked for and answered as recorded") {
  const auto request = upgrade_request(high, "127.0.0.1");
  CHECK(request == "GET /id/" + high +
                       " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n"
                       "\r\n");
  CHECK(request.size() == 109);
  CHECK(requested_tub(request) == high);
  CHECK(check_upgrade(upgrade_answer));
  const auto refused = check_upgrade(upgrade_refusal("unknown TubID x"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().context.find("unknown TubID x") != std::string::npos);
  CHECK_FALSE(requested_tub("GET / HTTP/1.1\r\n\r\n"));
  CHECK_FALSE(requested_tub("GET /id/ HTTP/1.1\r\nUpgrade: TLS/1.0\r\n\r\n"));
  CHECK_FALSE(requested_tub("GET /id/abc HTTP/1.1\r\n\r\n"));
  CHECK_FALSE(check_upgrade("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
}

TEST_CASE("the tub with the greater id decides, whoever connected") {
  for (const bool master_connects : {false, true}) {
    Negotiation master(high, low, "85ca8294cee54b40", master_connects);
    Negotiation slave(low, high, "0ab2f7d9dfe2fba2", !master_connects);
    CHECK(master.master());
    CHECK_FALSE(slave.master());
    const auto to_slave = parse_block(master.hello());
    const auto to_master = parse_block(slave.hello());
    REQUIRE(to_slave);
    REQUIRE(to_master);
    CHECK(to_slave->contains("last-connection") == master_connects);
    CHECK(slave.heard_hello(*to_slave));
    CHECK(master.heard_hello(*to_master));
    CHECK(master.peer_incarnation() == "0ab2f7d9dfe2fba2");
    const auto decision = parse_block(master.decision(1));
    REQUIRE(decision);
    CHECK(decision->at("current-connection") == "85ca8294cee54b40 1");
    CHECK(decision->at("initial-vocab-table-index") == "0 da39");
    CHECK(slave.heard_decision(*decision));
  }
}

TEST_CASE("a real peer's hello is accepted, and one that lies about its id is not") {
  Negotiation us(low, high, "0ab2f7d9dfe2fba2", true);
  const std::string rest =
      "banana-negotiation-range: 3 3\r\ninitial-vocab-table-range: 0 1\r\n"
      "my-incarnation: 85ca8294cee54b40\r\n";
  CHECK(us.heard_hello(*parse_block(rest + "my-tub-id: " + high + "\r\n\r\n")));
  CHECK(us.heard_hello(*parse_block(rest + "my-tub-id: " + low + "\r\n\r\n")).error().code ==
        Errc::wrong_certificate);
  const auto said = parse_block(error_block("Duplicate connection"));
  REQUIRE_FALSE(said);
  CHECK(said.error().code == Errc::refused);
  CHECK_FALSE(
      us.heard_decision(*parse_block("banana-decision-version: 3\r\ninitial-vocab-table-"
                                     "index: 1 bb33\r\n\r\n")));
  CHECK_FALSE(us.heard_decision(*parse_block("banana-decision-version: 2\r\n\r\n")));
}

TEST_CASE("blocks that are none are errors") {
  CHECK_FALSE(parse_block("no colon here\r\n\r\n"));
  CHECK_FALSE(parse_block(std::string(largest_block + 1, 'x')));
  CHECK(parse_block("Key:\tvalue\r\n\r\n")->at("key") == "value");
  CHECK(parse_block("")->empty());
}

TEST_CASE("a peer's new connection takes the place of its old one, not the other way round") {
  ConnectionLedger ledger("0123456789abcdef");
  CHECK(ledger.admit(low, "aaaa", "none 0") == 1u);
  // The same life of the peer without knowing of its connection.
  CHECK(ledger.admit(low, "aaaa", "none 0").error().context == "Duplicate connection");
  CHECK(ledger.admit(low, "aaaa", "0123456789abcdef 0").error().code == Errc::refused);
  // It knows of the newest, or of an older life of ours, or has been restarted.
  CHECK(ledger.admit(low, "aaaa", "0123456789abcdef 1") == 2u);
  CHECK(ledger.admit(low, "aaaa", "fedcba9876543210 9") == 3u);
  CHECK(ledger.admit(low, "bbbb", "none 0") == 4u);
  // After the end it is free; an old connection's end changes nothing.
  ledger.ended(low, 3);
  CHECK_FALSE(ledger.admit(low, "bbbb", "none 0"));
  ledger.ended(low, 4);
  CHECK(ledger.admit(low, "bbbb", "none 0") == 5u);
}
