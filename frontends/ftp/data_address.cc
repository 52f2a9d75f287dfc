// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/data_address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "frontends/ftp/command.h"

namespace lafs::ftp {

std::optional<Address> Address::parse(std::string_view text) {
  const std::string zeroed(text.substr(0, text.find('%')));  // without an interface
  Address out;
  if (::inet_pton(AF_INET, zeroed.c_str(), out.bytes.data()) == 1) return out;
  if (::inet_pton(AF_INET6, zeroed.c_str(), out.bytes.data()) != 1) return {};
  constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(mapped.begin(), mapped.end(), out.bytes.begin())) {
    Address v4;
    std::copy_n(out.bytes.begin() + 12, 4, v4.bytes.begin());
    return v4;
  }
  out.v6 = true;
  return out;
}

std::string Address::text() const {
  char buffer[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), buffer, sizeof buffer);
  return buffer;
}

bool Address::is_loopback() const {
  if (!v6) return bytes[0] == 127;
  return bytes[15] == 1 &&
         std::all_of(bytes.begin(), bytes.begin() + 15, [](auto b) { return b == 0; });
}

bool Address::is_private() const {
  if (is_loopback()) return true;
  if (v6) return (bytes[0] & 0xfe) == 0xfc || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80);
  return bytes[0] == 10 || (bytes[0] == 172 && (bytes[1] & 0xf0) == 16) ||
         (bytes[0] == 192 && bytes[1] == 168) || (bytes[0] == 169 && bytes[1] == 254);
}

std::optional<Endpoint> parse_port(std::string_view text) {
  std::array<std::uint8_t, 6> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto comma = text.find(',');
    if ((i + 1 == numbers.size()) != (comma == text.npos)) return {};
    const auto number = parse_number(text.substr(0, comma));
    if (!number || *number > 255) return {};
    numbers[i] = static_cast<std::uint8_t>(*number);
    if (comma != text.npos) text.remove_prefix(comma + 1);
  }
  Endpoint out;
  std::copy_n(numbers.begin(), 4, out.address.bytes.begin());
  out.port = static_cast<std::uint16_t>(numbers[4] << 8 | numbers[5]);
  return out;
}

ExtendedPort parse_extended_port(std::string_view text) {
  ExtendedPort out;
  if (text.size() < 7 || text.front() != text.back()) return out;
  const char mark = text.front();
  if (mark < 33 || mark > 126) return out;
  std::array<std::string_view, 3> fields;
  text.remove_prefix(1);
  for (auto& field : fields) {
    const auto end = text.find(mark);
    if (end == text.npos) return out;
    field = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  if (!text.empty()) return out;
  const auto family = parse_number(fields[0]);
  if (!family || *family > 255) return out;
  out.family = static_cast<unsigned>(*family);
  const auto port = parse_number(fields[2]);
  const auto address = Address::parse(fields[1]);
  // What is written as IPv6 must say so, also when it is an IPv4 address inside.
  const bool written_v6 = fields[1].find(':') != std::string_view::npos;
  if (!port || *port == 0 || *port > 65535 || !address) return out;
  if (*family != (written_v6 ? 2u : 1u)) return out;
  out.endpoint = Endpoint{*address, static_cast<std::uint16_t>(*port)};
  return out;
}

std::string passive_text(const Endpoint& endpoint) {
  std::string numbers;
  for (int i = 0; i < 4; ++i)
    numbers += std::to_string(endpoint.address.bytes[static_cast<std::size_t>(i)]) + ",";
  return "Entering Passive Mode (" + numbers + std::to_string(endpoint.port >> 8) + "," +
         std::to_string(endpoint.port & 255) + ").";
}

std::string extended_passive_text(std::uint16_t port) {
  return "Entering Extended Passive Mode (|||" + std::to_string(port) + "|)";
}

bool may_connect(const Endpoint& target, const Address& peer) {
  return target.address == peer && target.port >= 1024;
}

}  // namespace lafs::ftp
