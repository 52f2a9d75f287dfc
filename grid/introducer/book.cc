// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/book.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
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

// `budget`: how many values there may be; an alias counts as often as it is used.
json::value json_of(const YAML::Node& node, std::size_t& budget, int depth = 0) {
  if (depth > 20 || budget == 0) throw YAML::Exception(node.Mark(), "too much, or too deep");
  --budget;
  if (node.IsMap()) {
    json::object out;
    for (const auto& member : node) {
      if (member.first.IsScalar())
        out[member.first.Scalar()] = json_of(member.second, budget, depth + 1);
    }
    return out;
  }
  if (node.IsSequence()) {
    json::array out;
    for (const auto& item : node) out.push_back(json_of(item, budget, depth + 1));
    return out;
  }
  return node.IsScalar() ? scalar_of(node) : json::value(nullptr);
}

std::string text_at(const json::object& map, std::string_view key) {
  const auto* value = map.if_contains(key);
  const auto* text = value ? value->if_string() : nullptr;
  return text ? std::string(*text) : std::string{};
}

// One entry of a file; those that cannot be read are left out.
void take_over(Book& into, const json::value& entry) {
  const auto* map = entry.if_object();
  if (!map) return;
  const auto id = text_at(*map, "key_s");
  const auto* proved = map->if_contains("signed");
  if (const auto* parts = proved ? proved->if_object() : nullptr) {
    SignedAnnouncement proof{text_at(*parts, "message"), text_at(*parts, "signature"), id};
    if (auto verified = verify(proof)) {
      into.add(std::move(*verified), std::move(proof));
      return;
    }
  }
  const auto* dictionary = map->if_contains("ann");
  if (!key_from_text(id) || !dictionary || !dictionary->is_object()) return;
  if (auto read = read_announcement(json::serialize(*dictionary), id))
    into.add(std::move(*read), std::nullopt);
}

// How the files begin that we write ourselves: an entry a line.
constexpr std::string_view line_begin = "- ", own_begin = "- {\"ann\": ";

void take_over_lines(Book& into, std::string_view text) {
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with(line_begin)) continue;
    line.remove_prefix(line_begin.size());
    boost::system::error_code error;
    json::parse_options options;
    options.max_depth = 20;
    if (const auto entry = json::parse(line, error, {}, options); !error) take_over(into, entry);
  }
}

}  // namespace

Book::Verdict Book::add(Announcement announcement, std::optional<SignedAnnouncement> proof) {
  const std::pair key{announcement.service, announcement.server_id};
  const auto it = entries_.find(key);
  Entry now{std::move(announcement), std::move(proof)};
  if (it == entries_.end()) {
    if (entries_.size() >= most_entries || bytes_ + now.bytes() > most_bytes) return Verdict::full;
    bytes_ += now.bytes();
    entries_.emplace(key, std::move(now));
    return Verdict::fresh;
  }
  auto& known = it->second;
  const auto& number = now.announcement.number;
  const auto& had = known.announcement.number;
  const bool same = known.announcement.content == now.announcement.content;
  if (same && (known.proof || !now.proof)) return Verdict::duplicate;
  if (!same && had && (!number || *number <= *had)) return Verdict::stale;
  if (bytes_ - known.bytes() + now.bytes() > most_bytes) return Verdict::full;
  bytes_ += now.bytes() - known.bytes();
  known = std::move(now);
  return same ? Verdict::duplicate : Verdict::fresh;
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
    out += std::string(own_begin) + entry.announcement.content +
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
  if (text.starts_with(own_begin)) {
    take_over_lines(out, text);
    return out;
  }
  try {
    const auto root = YAML::Load(text);
    if (root.IsNull()) return out;
    if (!root.IsSequence()) return fail(Errc::bad_config, file + ": not a list of announcements");
    // A value takes a byte at least, unless it is told by an alias: those may repeat a little.
    std::size_t budget = 10 * text.size();
    for (const auto& item : root) take_over(out, json_of(item, budget));
  } catch (const YAML::Exception& e) {
    return fail(Errc::bad_config, file + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
  }
  return out;
}

}  // namespace lafs::grid::introducer
