// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/servers_yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdio>

#include "grid/base/netstring.h"
#include "grid/node_dir/nearest.h"
#include "grid/node_dir/quantities.h"
#include "grid/storage/nurl.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

namespace {

std::string place(const std::string& file, const YAML::Node& node) {
  const auto mark = node.Mark();
  return mark.is_null() ? file : file + ":" + std::to_string(mark.line + 1);
}

std::unexpected<Error> wrong(const std::string& file, const YAML::Node& node,
                             std::string_view what) {
  return fail(Errc::bad_config, place(file, node) + ": " + std::string(what));
}

std::string scalar(const YAML::Node& node) {
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : std::string();
}

// One value below `storage:`. The error is why it cannot be used.
Result<ServerEntry> parse_entry(const std::string& file, const std::string& id,
                                const YAML::Node& entry) {
  if (!entry.IsMap() || !entry["ann"] || !entry["ann"].IsMap()) {
    return wrong(file, entry, id + ": has no \"ann:\" with the server's announcement");
  }
  const YAML::Node ann = entry["ann"];
  ServerEntry out;
  out.id = id;
  out.nickname = scalar(ann["nickname"]);
  out.furl = scalar(ann["anonymous-storage-FURL"]);
  if (out.furl.empty()) return wrong(file, ann, id + ": has no anonymous-storage-FURL");
  const auto furl = storage::Furl::parse(out.furl);
  if (!furl) {
    return wrong(file, ann["anonymous-storage-FURL"], id + ": " + furl.error().context);
  }
  out.lease_seed = furl->tub_id;

  std::optional<std::string> seed;
  if (const YAML::Node given = ann["permutation-seed-base32"]; given && given.IsScalar()) {
    seed = given.Scalar();
    if (!from_base32_lax(*seed)) {
      return wrong(file, given, id + ": permutation-seed-base32 is not base32");
    }
  }
  out.permutation_seed = storage::permutation_seed(id, seed);

  if (const YAML::Node nurls = ann["anonymous-storage-NURLs"]; nurls && !nurls.IsNull()) {
    if (!nurls.IsSequence()) {
      return wrong(file, nurls, id + ": anonymous-storage-NURLs is not a list");
    }
    for (const auto& nurl : nurls) {
      const auto parsed = storage::Nurl::parse(scalar(nurl));
      if (!parsed) return wrong(file, nurl, id + ": " + parsed.error().context);
      out.nurls.push_back(scalar(nurl));
    }
  }
  if (const YAML::Node all = ann["grid-manager-certificates"]; all && all.IsSequence()) {
    for (const auto& one : all) {
      if (one.IsMap())
        out.certificates.emplace_back(scalar(one["certificate"]), scalar(one["signature"]));
    }
  }
  return out;
}

// "host:port" or "[v6]:port".
bool read_address(const std::string& text, ServerWish& out) {
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return false;
  auto host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto port = parse_decimal(text.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535 || host.empty()) return false;
  if (!bracketed && host.find(':') != host.npos) return false;
  out.host = host;
  out.port = static_cast<std::uint16_t>(*port);
  return true;
}

// `lafs:` and `connections:` of one value below `storage:`.
Result<ServerWish> parse_wish(const std::string& file, const std::string& id,
                              const YAML::Node& entry) {
  ServerWish out;
  if (const YAML::Node handlers = entry["connections"]; handlers && !handlers.IsNull()) {
    if (!handlers.IsMap()) return wrong(file, handlers, id + ": connections: is not a table");
    const auto tcp = scalar(handlers["tcp"]);
    if (tcp == "tor" || tcp == "disabled") {
      out.forbidden = "connections: tcp: is " + tcp + ", and lafs connects directly only";
    } else if (!tcp.empty() && tcp != "tcp") {
      return wrong(file, handlers["tcp"], id + ": connections: tcp: is tcp, tor or disabled");
    }
  }
  const YAML::Node ours = entry["lafs"];
  if (!ours || ours.IsNull()) return out;
  if (!ours.IsMap()) return wrong(file, ours, id + ": lafs: is not a table");
  for (const auto& item : ours) {
    const auto key = scalar(item.first), value = scalar(item.second);
    const auto bad = [&](std::string_view what) {
      return wrong(file, item.first, id + ": lafs: " + key + ": " + std::string(what));
    };
    if (key == "use") {
      if (value == "read") out.use = ServerWish::Use::read;
      if (value == "none") out.use = ServerWish::Use::none;
      if (value != "all" && value != "read" && value != "none") return bad("is all, read or none");
    } else if (key == "preferred") {
      if (value != "true" && value != "false") return bad("is true or false");
      out.preferred = value == "true";
    } else if (key == "address") {
      if (!read_address(value, out)) return bad("is HOST:PORT");
    } else if (key == "timeout") {
      const auto limit = parse_duration(value);
      if (!limit || limit->count() < 1) return bad("is a duration, e.g. 90 s");
      out.timeout = *limit;
    } else if (key == "connections") {
      const auto number = parse_decimal(value);
      if (!number || *number < 1 || *number > 1000) return bad("is a number from 1 to 1000");
      out.connections = static_cast<unsigned>(*number);
    } else {
      return wrong(file, item.first,
                   id + ": lafs: has no option \"" + key + "\"" +
                       suggestion(key, {"use", "preferred", "address", "timeout", "connections"}));
    }
  }
  return out;
}

Result<ServersFile> parse(std::string_view text, const std::string& file) {
  ServersFile out;
  const YAML::Node document = YAML::Load(std::string(text));
  if (document.IsNull()) return out;
  if (!document.IsMap() || !document["storage"]) {
    return wrong(file, document, "has no \"storage:\" with servers below it");
  }
  const YAML::Node storage = document["storage"];
  if (storage.IsNull()) return out;
  if (!storage.IsMap()) return wrong(file, storage, "\"storage:\" is not a table of servers");
  for (const auto& item : storage) {
    if (!item.first.IsScalar()) {
      out.skipped.push_back(place(file, item.first) + ": a server id that is not a text");
      continue;
    }
    const auto id = item.first.Scalar();
    const bool wishes = item.second.IsMap() && (item.second["lafs"] || item.second["connections"]);
    if (wishes) {
      auto wish = parse_wish(file, id, item.second);
      if (!wish) {
        // What was meant is not known: better not to use it than to use it as it should not be.
        out.skipped.push_back(wish.error().context);
        out.wishes[id].forbidden = wish.error().context;
        continue;
      }
      out.wishes[id] = std::move(*wish);
      if (!item.second["ann"]) continue;  // what introducers announce about it is used
    }
    auto entry = parse_entry(file, id, item.second);
    if (!entry) {
      out.skipped.push_back(entry.error().context);
      continue;
    }
    const auto old = std::ranges::find(out.servers, entry->id, &ServerEntry::id);
    if (old == out.servers.end()) {
      out.servers.push_back(std::move(*entry));
    } else {
      *old = std::move(*entry);
    }
  }
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    if (u < ' ' || u == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02X", u);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Ids and addresses of the usual shape need no quotes, and PyYAML writes none.
std::string plain_or_quoted(std::string_view text) {
  const bool usual =
      (text.starts_with("v0-") || text.starts_with("pb://")) &&
      std::ranges::all_of(text,
                          [](char c) {
                            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                   (c >= '0' && c <= '9') ||
                                   std::string_view("-_.:/@#=").find(c) != std::string_view::npos;
                          }) &&
      !text.ends_with(':');
  return usual ? std::string(text) : quoted(text);
}

}  // namespace

Result<ServersFile> parse_servers(std::string_view text, const std::string& file) {
  // yaml-cpp throws what it has to say; this is its only edge.
  try {
    return parse(text, file);
  } catch (const YAML::Exception& e) {
    const std::string line = e.mark.is_null() ? "" : ":" + std::to_string(e.mark.line + 1);
    return fail(Errc::bad_config, file + line + ": " + e.msg);
  }
}

std::string format_servers(const std::vector<ServerEntry>& servers) {
  if (servers.empty()) return "storage: {}\n";
  std::string out = "storage:\n";
  for (const auto& server : servers) {
    out += "  " + plain_or_quoted(server.id) + ":\n    ann:\n";
    out += "      nickname: " + quoted(server.nickname) + "\n";
    out += "      anonymous-storage-FURL: " + plain_or_quoted(server.furl) + "\n";
    if (!server.nurls.empty()) out += "      anonymous-storage-NURLs:\n";
    for (const auto& nurl : server.nurls) out += "      - " + plain_or_quoted(nurl) + "\n";
    out += "      permutation-seed-base32: " + quoted(base32(server.permutation_seed)) + "\n";
  }
  return out;
}

}  // namespace lafs::grid
