// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/nurl.h"

#include <fmt/format.h>

#include "grid/base/base32.h"
#include "grid/base/netstring.h"

namespace lafs::grid::storage {

namespace {

// Longer than any real address; keeps error texts and copies small.
constexpr std::size_t longest_address = 4096;
constexpr std::string_view fragment = "#v=1";

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_host_name(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, [](char c) {
    return is_alnum(c) || c == '.' || c == '-' || c == '_';
  });
}

bool is_ipv6(std::string_view host) {
  return host.size() <= 45 && host.find(':') != host.npos && std::ranges::all_of(host, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
                  c == ':' || c == '.';
         });
}

bool is_swissnum(std::string_view text) {
  return !text.empty() && text.size() <= 512 && std::ranges::all_of(text, [](char c) {
    return c > ' ' && c < 0x7f && c != '#' && c != '?';
  });
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto number = parse_decimal(text);
  if (!number || *number == 0 || *number > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

struct Place {
  std::string host;
  std::optional<std::uint16_t> port;
};

// "host", "host:port", "[v6]", "[v6]:port".
std::optional<Place> parse_place(std::string_view text) {
  Place place;
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos || !is_ipv6(text.substr(1, end - 1))) return std::nullopt;
    place.host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    if (!is_host_name(text.substr(0, colon))) return std::nullopt;
    place.host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  if (rest.empty()) return place;
  if (!rest.starts_with(':')) return std::nullopt;
  place.port = parse_port(rest.substr(1));
  if (!place.port) return std::nullopt;
  return place;
}

std::string print_place(std::string_view host, std::uint16_t port) {
  if (host.find(':') != host.npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

bool is_pin(std::string_view text) {
  if (text.size() != 43) return false;
  const auto raw = from_base64url(text);
  return raw && raw->size() == 32 && base64url(*raw) == text;
}

}  // namespace

Result<Nurl> Nurl::parse(std::string_view text) {
  const auto bad = [](const char* why) {
    return fail(Errc::bad_config, std::string("storage server address (NURL): ") + why);
  };
  if (text.size() > longest_address) return bad("too long");
  Nurl nurl;
  if (text.starts_with("pb+tor://")) {
    nurl.tor = true;
    text.remove_prefix(9);
  } else if (text.starts_with("pb://")) {
    text.remove_prefix(5);
  } else {
    return bad("must begin with pb:// or pb+tor://");
  }
  if (!text.ends_with(fragment)) return bad("must end with #v=1");
  text.remove_suffix(fragment.size());

  const auto at = text.find('@');
  if (at == text.npos || !is_pin(text.substr(0, at))) {
    return bad("needs the 43-character hash of the server's key before the @");
  }
  nurl.pin = text.substr(0, at);
  text.remove_prefix(at + 1);

  const auto slash = text.find('/');
  if (slash == text.npos) return bad("has no swissnum");
  auto place = parse_place(text.substr(0, slash));
  if (!place) return bad("has no usable host and port");
  nurl.host = std::move(place->host);
  nurl.port = place->port.value_or(443);

  nurl.swissnum = text.substr(slash + 1);
  if (!is_swissnum(nurl.swissnum)) return bad("has no usable swissnum");
  return nurl;
}

std::string Nurl::text() const {
  return fmt::format("{}://{}@{}/{}{}", tor ? "pb+tor" : "pb", pin, print_place(host, port),
                     swissnum, fragment);
}

Result<Furl> Furl::parse(std::string_view text) {
  const auto bad = [](const char* why) {
    return fail(Errc::bad_config, std::string("FURL: ") + why);
  };
  if (text.size() > longest_address) return bad("too long");
  if (!text.starts_with("pb://")) return bad("must begin with pb://");
  text.remove_prefix(5);
  Furl furl;
  const auto at = text.find('@');
  if (at == text.npos) return bad("has no tub id");
  const auto tub = array_from_base32<20>(text.substr(0, at));
  if (!tub) return bad("the tub id must be 32 base32 characters");
  furl.tub_id = *tub;
  text.remove_prefix(at + 1);

  const auto slash = text.find('/');
  if (slash == text.npos || slash + 1 == text.size()) return bad("has no name");
  furl.name = text.substr(slash + 1);
  const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
  if (!std::ranges::all_of(text, printable)) return bad("holds blanks or unprintable characters");

  auto hints = text.substr(0, slash);
  while (!hints.empty()) {
    const auto comma = std::min(hints.find(','), hints.size());
    if (comma == 0 || comma + 1 == hints.size()) return bad("has an empty connection hint");
    furl.hints.emplace_back(hints.substr(0, comma));
    hints.remove_prefix(std::min(comma + 1, hints.size()));
  }
  return furl;
}

std::string Furl::text() const {
  return fmt::format("pb://{}@{}/{}", base32(tub_id), fmt::join(hints, ","), name);
}

std::optional<Location> parse_hint(std::string_view hint) {
  if (hint.size() > longest_address) return std::nullopt;
  Location location;
  if (hint.starts_with("tcp:")) {
    hint.remove_prefix(4);
  } else if (hint.starts_with("tor:")) {
    location.tor = true;
    hint.remove_prefix(4);
  } else if (hint.starts_with("i2p:")) {
    return std::nullopt;
  }
  auto place = parse_place(hint);
  if (!place || !place->port) return std::nullopt;
  location.host = std::move(place->host);
  location.port = *place->port;
  return location;
}

std::vector<Nurl> nurls_of(std::string_view location, std::string_view pin,
                           std::string_view swissnum) {
  std::vector<Nurl> out;
  while (!location.empty()) {
    const auto comma = std::min(location.find(','), location.size());
    if (auto place = parse_hint(location.substr(0, comma))) {
      out.push_back({place->tor, std::string(pin), std::move(place->host), place->port,
                     std::string(swissnum)});
    }
    location.remove_prefix(std::min(comma + 1, location.size()));
  }
  return out;
}

}  // namespace lafs::grid::storage
