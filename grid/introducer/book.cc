// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/book.h"

#include <yaml-cpp/yaml.h>

#include <boost/json.hpp>
#include <charconv>

namespace lafs::grid::introducer {

namespace json = boost::json;

namespace {

// Plain scalars are typed as YAML's JSON schema has it; quoted ones are text.
json::value scalar_of(const YAML::Node& node) {
  const auto& text = node.Scalar();
  if (node.Tag() == "!") return json::value(text);
  if (text == "null" || text == "~" || text.empty()) return nullptr;
  if (text == "true") return true;
  if (text == "false") return false;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size()) return number;
  return json::value(text);
}

json::value json_of(const YAML::Node& node, int depth = 0) {
  if (depth > 16) throw YAML::Exception(node.Mark(), "nested too deeply");
  if (node.IsMap()) {
    json::object out;
    for (const auto& member : node) out[member.first.Scalar()] = json_of(member.second, depth + 1);
    return out;
  }
  if (node.IsSequence()) {
    json::array out;
    for (const auto& item : node) out.push_back(json_of(item, depth + 1));
    return out;
  }
  return node.IsScalar() ? scalar_of(node) : json::value(nullptr);
}

std::string text_at(const YAML::Node& map, const char* key) {
  const auto value = map[key];
  return value && value.IsScalar() ? value.Scalar() : std::string{};
}

}  // namespace

Book::Verdict Book::add(Announcement announcement, std::optional<SignedAnnouncement> proof) {
  const std::pair key{announcement.service, announcement.server_id};
  const auto it = entries_.find(key);
  if (it == entries_.end()) {
    if (entries_.size() >= most_entries) return Verdict::full;
    entries_.emplace(key, Entry{std::move(announcement), std::move(proof)});
    return Verdict::fresh;
  }
  auto& known = it->second;
  if (known.announcement.content == announcement.content) {
    if (!known.proof) known.proof = std::move(proof);
    return Verdict::duplicate;
  }
  if (known.announcement.number &&
      (!announcement.number || *announcement.number <= *known.announcement.number)) {
    return Verdict::stale;
  }
  known = {std::move(announcement), std::move(proof)};
  return Verdict::fresh;
}

std::vector<const Book::Entry*> Book::entries() const {
  std::vector<const Entry*> out;
  for (const auto& [key, entry] : entries_) out.push_back(&entry);
  return out;
}

std::string Book::to_yaml() const {
  // JSON is YAML: one entry a line.
  std::string out;
  for (const auto& [key, entry] : entries_) {
    out += "- {\"ann\": " + entry.announcement.content +
           ", \"key_s\": " + json::serialize(json::value(entry.announcement.server_id));
    if (entry.proof) {
      out += ", \"signed\": {\"message\": " + json::serialize(json::value(entry.proof->message)) +
             ", \"signature\": " + json::serialize(json::value(entry.proof->signature)) + "}";
    }
    out += "}\n";
  }
  return out.empty() ? "[]\n" : out;
}

Result<Book> Book::from_yaml(const std::string& text, const std::string& file) {
  Book out;
  try {
    const auto root = YAML::Load(text);
    if (root.IsNull()) return out;
    if (!root.IsSequence()) return fail(Errc::bad_config, file + ": not a list of announcements");
    for (const auto& item : root) {
      if (!item.IsMap()) continue;
      const auto id = text_at(item, "key_s");
      SignedAnnouncement proof;
      if (const auto saved = item["signed"]; saved && saved.IsMap()) {
        proof.message = text_at(saved, "message");
        proof.signature = text_at(saved, "signature");
        proof.key = id;
        if (auto verified = verify(proof)) {
          out.add(std::move(*verified), std::move(proof));
          continue;
        }
      }
      const auto dictionary = item["ann"];
      if (id.empty() || !dictionary || !dictionary.IsMap()) continue;
      auto read = read_announcement(json::serialize(json_of(dictionary)), id);
      if (read) out.add(std::move(*read), std::nullopt);
    }
  } catch (const YAML::Exception& e) {
    return fail(Errc::bad_config, file + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
  }
  return out;
}

}  // namespace lafs::grid::introducer
