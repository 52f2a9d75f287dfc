// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/introducers_yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "grid/storage/nurl.h"

namespace lafs::grid {

namespace {

std::unexpected<Error> wrong(const std::string& file, const YAML::Node& node, std::string what) {
  const auto mark = node.Mark();
  const auto line = mark.is_null() ? std::string{} : ":" + std::to_string(mark.line + 1);
  return fail(Errc::bad_config, file + line + ": " + std::move(what));
}

bool is_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = byte(i++);
    if (lead < 0x80) continue;
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    const auto next = byte(i);
    // No character is written longer than it has to be, and none is half of a pair.
    if (lead < 0xC2 || lead > 0xF4 || (lead == 0xE0 && next < 0xA0) ||
        (lead == 0xED && next >= 0xA0) || (lead == 0xF0 && next < 0x90) ||
        (lead == 0xF4 && next >= 0x90))
      return false;
    for (int k = 0; k < more; ++k) {
      if ((byte(i++) & 0xC0) != 0x80) return false;
    }
  }
  return true;
}

// A name becomes part of a file's name, and is shown.
bool is_petname(std::string_view name) {
  const auto bad = [](unsigned char c) { return c < ' ' || c == '/' || c == 0x7F; };
  return !name.empty() && is_utf8(name) && std::ranges::none_of(name, bad);
}

Result<std::vector<IntroducerEntry>> parse(std::string_view yaml, const std::string& file) {
  std::vector<IntroducerEntry> out;
  const YAML::Node document = YAML::Load(std::string(yaml));
  if (!document.IsMap() || !document["introducers"]) {
    return wrong(file, document, "has no \"introducers:\"; write \"introducers: {}\" for none");
  }
  const YAML::Node all = document["introducers"];
  if (all.IsNull()) return out;
  if (!all.IsMap()) return wrong(file, all, "\"introducers:\" is not a table of names");
  for (const auto& item : all) {
    const auto name = item.first.IsScalar() ? item.first.Scalar() : std::string{};
    if (!is_petname(name))
      return wrong(file, item.first, "an introducer's name is a text without '/'");
    const YAML::Node furl = item.second.IsMap() ? item.second["furl"] : YAML::Node();
    if (!furl.IsDefined() || !furl.IsScalar())
      return wrong(file, item.second, name + ": has no \"furl:\"");
    const auto checked = storage::Furl::parse(furl.Scalar());
    if (!checked) return wrong(file, furl, name + ": " + checked.error().context);
    out.push_back({name, furl.Scalar()});
  }
  return out;
}

}  // namespace

Result<std::vector<IntroducerEntry>> parse_introducers(
    std::optional<std::string_view> yaml, const std::string& file,
    std::optional<std::string_view> from_config) {
  std::vector<IntroducerEntry> out;
  if (yaml) {
    // yaml-cpp throws what it has to say; this is its only edge.
    try {
      TRY(listed, parse(*yaml, file));
      out = std::move(listed);
    } catch (const YAML::Exception& e) {
      const auto line = e.mark.is_null() ? std::string{} : ":" + std::to_string(e.mark.line + 1);
      return fail(Errc::bad_config, file + line + ": " + e.msg);
    }
  }
  if (!from_config) return out;
  const auto checked = storage::Furl::parse(*from_config);
  if (!checked) {
    return fail(Errc::bad_config, "[client] introducer.furl: " + checked.error().context +
                                      "; leave the line out for no introducer");
  }
  if (std::ranges::find(out, "default", &IntroducerEntry::petname) != out.end()) {
    return fail(Errc::bad_config, file +
                                      ": names an introducer \"default\", and so does [client] "
                                      "introducer.furl in tahoe.cfg; keep one of them");
  }
  out.push_back({"default", std::string(*from_config)});
  return out;
}

std::string format_introducers(const std::vector<IntroducerEntry>& introducers) {
  if (introducers.empty()) return "introducers: {}\n";
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "introducers" << YAML::Value << YAML::BeginMap;
  for (const auto& one : introducers) {
    out << YAML::Key << one.petname << YAML::Value << YAML::BeginMap << YAML::Key << "furl"
        << YAML::Value << one.furl << YAML::EndMap;
  }
  out << YAML::EndMap << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace lafs::grid
