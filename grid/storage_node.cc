// SPDX-License-Identifier: Apache-2.0
#include "grid/storage_node.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "grid/base/netstring.h"
#include "grid/crypto/ed25519.h"
#include "grid/crypto/random.h"
#include "grid/node_dir/files.h"
#include "grid/storage/nurl.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

namespace {

namespace stdfs = std::filesystem;

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto number = parse_decimal(text);
  if (!number || *number > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

std::string bracketed(const std::string& host) {
  return host.find(':') == host.npos ? host : "[" + host + "]";
}

std::string hint_of(const Endpoint& at) {
  return "tcp:" + bracketed(at.host) + ":" + std::to_string(at.port);
}

// AUTO in tub.location: one hint for each IPv4 address of this host.
std::string local_hints(std::uint16_t port) {
  std::string out;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return out;
  for (auto* i = all; i; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP)) continue;
    char text[INET_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(i->ifa_addr)->sin_addr, text, sizeof text);
    out += (out.empty() ? "" : ",") + hint_of({text, port});
  }
  ::freeifaddrs(all);
  return out;
}

// A one-line file that is made when missing.
template <class Make>
Result<std::string> line_of(const stdfs::path& file, unsigned mode, Make make) {
  auto text = read_small_file(file, 65536);
  if (!text && text.error().code == Errc::not_found) {
    TRY_DO(create_file(file, make() + "\n", mode));
    text = read_small_file(file, 65536);
  }
  if (!text) return std::unexpected(text.error());
  return std::string(trimmed(*text));
}

// For people and tools; rewritten when it says something else.
Result<> note(const stdfs::path& file, const std::string& line) {
  if (auto now = read_small_file(file, 65536); now && *now == line + "\n") return {};
  return replace_file(file, line + "\n", public_file);
}

std::string hints_of(std::string_view location, std::uint16_t port) {
  std::string out;
  while (!location.empty()) {
    const auto hint = location.substr(0, location.find(','));
    location.remove_prefix(std::min(location.size(), hint.size() + 1));
    const auto name = trimmed(hint);
    if (!out.empty()) out += ',';
    out += name == "AUTO" ? local_hints(port) : std::string(name);
  }
  return out;
}

// Whether clients can be told this: places between commas, at least one that they may use.
Result<> check_location(std::string_view location, bool may_show_address) {
  const auto wrong = [](std::string what) { return fail(Errc::bad_config, std::move(what)); };
  if (location.empty()) return wrong("is empty; write tcp:HOST:PORT, or leave it out for AUTO");
  while (true) {
    const auto item = location.substr(0, location.find(','));
    const auto hint = trimmed(item);
    if (hint.empty()) return wrong("has an empty place between commas");
    const bool other = hint.starts_with("tor:") || hint.starts_with("i2p:");
    if (!other && !may_show_address) {
      return wrong("\"" + std::string(hint) +
                   "\" tells where this machine is, and reveal-IP-address is false");
    }
    if (!other && hint != "AUTO" && !storage::parse_hint(hint))
      return wrong("\"" + std::string(hint) + "\" is not like tcp:grid.example.org:3457");
    if (item.size() == location.size()) return {};
    location.remove_prefix(item.size() + 1);
  }
}

bool holds_shares(const stdfs::path& storage) {
  std::error_code error;
  for (stdfs::directory_iterator i(storage / "shares", error), end; !error && i != end;
       i.increment(error)) {
    if (i->path().filename() != "incoming") return true;
  }
  return false;
}

}  // namespace

Result<Places> configured_places(const NodeDir& node) {
  const auto& config = node.config();
  const auto wrong = [&](const char* key, const std::string& what) {
    return fail(Errc::bad_config, config.where("node", key) + ": [node] " + key + ": " + what);
  };
  TRY(given_port, config.text("node", "tub.port"));
  std::string port_text;
  if (given_port) {
    port_text = *given_port;
  } else {
    TRY(port, line_of(node.path() / "client.port", public_file, [] {
          const auto free = choose_free_port("0.0.0.0", {});
          return "tcp:" + std::to_string(free.value_or(0));
        }));
    port_text = port;
  }
  Places out;
  auto listen = parse_tub_port(port_text);
  if (!listen) return wrong("tub.port", listen.error().context);
  out.listen = std::move(*listen);
  if (out.listen.empty()) {
    return wrong("tub.port",
                 "is disabled; a storage server needs a port, e.g. tcp:3457, or --addr");
  }
  TRY(given_location, config.text("node", "tub.location"));
  const std::string_view location = given_location ? trimmed(*given_location) : "AUTO";
  if (location == "disabled")
    return wrong("tub.location", "is disabled, but tub.port is not; write tcp:HOST:PORT, or AUTO");
  TRY(reveal, config.boolean("node", "reveal-ip-address"));
  auto checked = check_location(location, reveal.value_or(true));
  if (!checked) return wrong("tub.location", checked.error().context);
  out.location = hints_of(location, out.listen.front().port);
  return out;
}

Places places_at(const Endpoint& address) { return {{address}, hint_of(address)}; }

Result<Places> places_of(std::string_view port, std::optional<std::string_view> location) {
  TRY(listen, parse_tub_port(port));
  if (listen.empty()) return fail(Errc::bad_argument, "a port is needed, e.g. tcp:3457");
  const auto where = trimmed(location.value_or("AUTO"));
  if (auto checked = check_location(where, true); !checked)
    return fail(Errc::bad_argument, "the location " + checked.error().context);
  auto hints = hints_of(where, listen.front().port);
  return Places{std::move(listen), std::move(hints)};
}

Result<storage::Furl> own_furl(const stdfs::path& file, const storage::Identity& identity,
                               const std::string& location) {
  const auto furl_of = [&](const std::string& swissnum) {
    return "pb://" + identity.tub_id() + "@" + location + "/" + swissnum;
  };
  TRY(old, line_of(file, private_file, [&] { return furl_of(base32(random_bytes(20))); }));
  auto furl = storage::Furl::parse(old);
  if (!furl) return fail(Errc::bad_config, file.string() + ":1: " + furl.error().context);
  if (furl->tub_id != identity.node_id()) {
    return fail(Errc::bad_config, file.string() +
                                      " belongs to another private/node.pem; "
                                      "restore the one that goes with it");
  }
  const auto now = furl_of(furl->name);
  if (now != old) TRY_DO(replace_file(file, now + "\n", private_file));
  return storage::Furl::parse(now);
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  Endpoint out{"0.0.0.0", 0};
  if (colon != text.npos) {
    auto host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) {
      host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != host.npos) {
      host = {};
    }
    out.host = host;
  }
  const auto port = parse_port(text.substr(colon == text.npos ? 0 : colon + 1));
  if (!port || out.host.empty()) {
    return fail(Errc::bad_argument, "address \"" + std::string(text) + "\" is not like HOST:PORT");
  }
  out.port = *port;
  return out;
}

Result<std::vector<Endpoint>> parse_tub_port(std::string_view text) {
  std::vector<Endpoint> out;
  if (trimmed(text) == "disabled") return out;
  while (!text.empty()) {
    const auto item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    auto rest = trimmed(item);
    const auto bad = [&] {
      return fail(Errc::bad_argument, "\"" + std::string(trimmed(item)) +
                                          "\" is not like tcp:3457:interface=127.0.0.1");
    };
    if (rest.starts_with("tcp:")) rest.remove_prefix(4);
    const auto digits = rest.substr(0, rest.find(':'));
    const auto port = parse_port(digits);
    rest.remove_prefix(std::min(rest.size(), digits.size() + 1));
    if (!port || !*port) return bad();
    Endpoint at{"0.0.0.0", *port};
    constexpr std::string_view interface = "interface=";
    if (rest.starts_with(interface)) {
      // Twisted escapes the colons of an IPv6 address.
      std::string host(rest.substr(interface.size()));
      std::erase(host, '\\');
      if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
      if (!host.empty()) at.host = host;
    } else if (!rest.empty()) {
      return bad();
    }
    out.push_back(std::move(at));
  }
  if (out.empty()) return fail(Errc::bad_argument, "is empty");
  return out;
}

Result<std::uint16_t> choose_free_port(const std::string& host,
                                       const std::vector<std::uint16_t>& taken) {
  for (int attempt = 0; attempt < 200; ++attempt) {
    const auto raw = random_array<2>();
    const auto port = static_cast<std::uint16_t>(20000 + get_be<std::uint16_t>(raw.data()) % 12700);
    if (std::ranges::find(taken, port) != taken.end()) continue;
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &at.sin_addr) != 1) at.sin_addr.s_addr = INADDR_ANY;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(Errc::io, "cannot open a socket");
    const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
    ::close(fd);
    if (free) return port;
  }
  return fail(Errc::busy, "no free TCP port from 20000 to 32699");
}

Result<StorageNode> StorageNode::prepare(const NodeDir& node, std::optional<Endpoint> address) {
  StorageNode out;
  Places places;
  if (address) {
    places = places_at(*address);
  } else {
    TRY(configured, configured_places(node));
    places = std::move(configured);
  }
  out.listen = std::move(places.listen);
  TRY_DO(make_directory(node.path() / "private", 0700));
  TRY(identity, storage::Identity::load_or_create(node.private_path("node.pem")));
  out.identity = std::move(identity);

  TRY(furl, own_furl(node.private_path("storage.furl"), out.identity, places.location));
  out.swissnum = furl.name;
  out.announcement.furl = furl.text();
  for (const auto& nurl : storage::nurls_of(places.location, out.identity.pin(), out.swissnum)) {
    out.announcement.nurls.push_back(nurl.text());
  }

  const auto key_file = node.private_path("node.privkey");
  TRY(key_text,
      line_of(key_file, private_file, [] { return "priv-v0-" + base32(random_bytes(32)); }));
  std::optional<Bytes> seed;
  if (key_text.starts_with("priv-v0-"))
    seed = from_base32_lax(std::string_view(key_text).substr(8));
  const auto key = seed ? Secret32::from(*seed) : std::nullopt;
  if (!key) {
    return fail(Errc::bad_config,
                key_file.string() + ":1: not \"priv-v0-\" and 32 bytes in base32");
  }
  const auto public_key = ed25519_public(*key);
  TRY_DO(note(node.path() / "my_nodeid", out.identity.tub_id()));
  TRY_DO(note(node.path() / "node.pubkey", "pub-v0-" + base32(public_key)));

  TRY(order, line_of(node.path() / "permutation-seed", public_file, [&] {
        return holds_shares(node.storage().directory) ? base32(out.identity.node_id())
                                                      : base32(public_key);
      }));
  if (!from_base32_lax(order)) {
    return fail(Errc::bad_config, (node.path() / "permutation-seed").string() + ":1: not base32");
  }
  out.announcement.id = "v0-" + base32(public_key);
  out.announcement.nickname = node.nickname();
  out.announcement.permutation_seed = storage::permutation_seed(out.announcement.id, order);
  out.announcement.lease_seed = out.identity.node_id();
  return out;
}

std::vector<Endpoint> endpoints_of(const ServerEntry& entry) {
  std::vector<Endpoint> out;
  for (const auto& text : entry.nurls) {
    if (auto nurl = storage::Nurl::parse(text); nurl && !nurl->tor) {
      out.push_back({nurl->host, nurl->port});
    }
  }
  return out;
}

}  // namespace lafs::grid
