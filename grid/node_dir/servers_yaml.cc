// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/servers_yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdio>

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
    auto entry = parse_entry(file, item.first.Scalar(), item.second);
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
