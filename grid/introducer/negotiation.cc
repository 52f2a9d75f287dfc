// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/negotiation.h"

#include <algorithm>
#include <charconv>

#include "grid/introducer/banana.h"

namespace lafs::grid::introducer {

namespace {

constexpr int banana_version = 3;

std::unexpected<Error> wrong(std::string what) {
  return fail(Errc::protocol, "Foolscap negotiation: " + std::move(what));
}

// The next line without its CRLF; `text` keeps the rest.
std::string_view next_line(std::string_view& text) {
  const auto end = text.find("\r\n");
  const auto line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 2);
  return line;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

// "LOW HIGH" holds `wanted`.
bool range_holds(std::string_view range, std::uint64_t wanted) {
  const auto space = range.find(' ');
  if (space == range.npos) return false;
  const auto low = number_of(range.substr(0, space));
  const auto high = number_of(range.substr(space + 1));
  return low && high && *low <= wanted && wanted <= *high;
}

std::string value_of(const Block& block, std::string_view key) {
  const auto it = block.find(key);
  return it == block.end() ? std::string{} : it->second;
}

}  // namespace

std::string upgrade_request(std::string_view tub_id, std::string_view host) {
  return "GET /id/" + std::string(tub_id) + " HTTP/1.1\r\nHost: " + std::string(host) +
         "\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n";
}

Result<std::string> requested_tub(std::string_view head) {
  const auto line = next_line(head);
  constexpr std::string_view begin = "GET /id/", end = " HTTP/1.1";
  if (!line.starts_with(begin) || !line.ends_with(end) || line.size() <= begin.size() + end.size())
    return wrong("no request for a tub");
  bool tls = false;
  while (!head.empty()) {
    const auto header = next_line(head);
    tls = tls || header == "Upgrade: TLS/1.0";
  }
  if (!tls) return wrong("the peer does not ask for TLS");
  return std::string(line.substr(begin.size(), line.size() - begin.size() - end.size()));
}

std::string upgrade_refusal(std::string_view why) {
  return "HTTP/1.1 500 Internal Server Error: " + std::string(why) + "\r\n\r\n";
}

Result<> check_upgrade(std::string_view head) {
  const auto line = next_line(head);
  if (!line.starts_with("HTTP/1.1 101 ")) {
    return fail(Errc::refused,
                "the peer refused the connection: " +
                    std::string(line.substr(0, std::min<std::size_t>(line.size(), 200))));
  }
  if (head.find("Upgrade: TLS/1.0") == head.npos) return wrong("the peer offers no TLS");
  return {};
}

Result<Block> parse_block(std::string_view text) {
  if (text.size() > largest_block) return wrong("a block is too long");
  Block out;
  while (!text.empty()) {
    const auto line = next_line(text);
    if (line.empty()) break;
    const auto colon = line.find(':');
    if (colon == line.npos) return wrong("a line without a colon");
    std::string key(line.substr(0, colon));
    std::ranges::transform(key, key.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    auto value = line.substr(colon + 1);
    while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
    out[std::move(key)] = std::string(value);
  }
  if (const auto error = out.find("error"); error != out.end())
    return fail(Errc::refused, "the peer ended the negotiation: " + error->second);
  return out;
}

std::string error_block(std::string_view why) {
  return "banana-decision-version: 1\r\nerror: " + std::string(why) + "\r\n\r\n";
}

// ------------------------------------------------------------------------ several connections

Result<std::uint64_t> ConnectionLedger::admit(const std::string& peer_tub,
                                              const std::string& peer_incarnation,
                                              std::string_view last) {
  auto& peer = peers_[peer_tub];
  if (peer.alive && peer.incarnation == peer_incarnation) {
    // The same life of the peer has a connection. It may replace that one if it knows of it.
    const auto space = last.find(' ');
    const auto of = last.substr(0, space);
    const auto number = space == last.npos ? std::nullopt : number_of(last.substr(space + 1));
    const bool older_life_of_ours = of != "none" && of != own_incarnation_;
    const bool knows_the_newest = of == own_incarnation_ && number == peer.number;
    if (!older_life_of_ours && !knows_the_newest)
      return fail(Errc::refused, "Duplicate connection");
  }
  peer.incarnation = peer_incarnation;
  peer.alive = true;
  return ++peer.number;
}

void ConnectionLedger::ended(const std::string& peer_tub, std::uint64_t number) {
  const auto it = peers_.find(peer_tub);
  if (it != peers_.end() && it->second.number == number) it->second.alive = false;
}

// ------------------------------------------------------------------------ one connection

std::string Negotiation::hello() const {
  const auto version = std::to_string(banana_version);
  return "banana-negotiation-range: " + version + " " + version +
         "\r\ninitial-vocab-table-range: 0 0\r\n" +
         (initiator_ ? "last-connection: none 0\r\n" : "") + "my-incarnation: " + incarnation_ +
         "\r\nmy-tub-id: " + own_tub_ + "\r\n\r\n";
}

Result<> Negotiation::heard_hello(const Block& block) {
  if (value_of(block, "my-tub-id") != peer_tub_)
    return fail(Errc::wrong_certificate, "the peer's tub id is not its certificate's");
  if (!range_holds(value_of(block, "banana-negotiation-range"), banana_version))
    return wrong("the peer does not speak Banana " + std::to_string(banana_version));
  if (!range_holds(value_of(block, "initial-vocab-table-range"), 0))
    return wrong("the peer insists on a vocabulary");
  peer_incarnation_ = value_of(block, "my-incarnation");
  if (block.contains("last-connection")) peer_last_ = value_of(block, "last-connection");
  return {};
}

std::string Negotiation::decision(std::uint64_t number) const {
  return "banana-decision-version: " + std::to_string(banana_version) +
         "\r\ncurrent-connection: " + incarnation_ + " " + std::to_string(number) +
         "\r\ninitial-vocab-table-index: 0 " + std::string(no_vocabulary_hash) + "\r\n\r\n";
}

Result<> Negotiation::heard_decision(const Block& block) const {
  if (value_of(block, "banana-decision-version") != std::to_string(banana_version))
    return wrong("the peer decided on another version of Banana");
  const auto table = value_of(block, "initial-vocab-table-index");
  if (table != "0" && !table.starts_with("0 "))
    return wrong("the peer decided on a vocabulary that was not offered");
  return {};
}

}  // namespace lafs::grid::introducer
