// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/config_file.h"

#include <algorithm>
#include <array>

#include "grid/base/netstring.h"
#include "grid/node_dir/files.h"
#include "grid/node_dir/nearest.h"

namespace lafs::grid {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return out;
}

std::unexpected<Error> at(const std::string& file, unsigned line, std::string_view what) {
  return fail(Errc::bad_config, file + ":" + std::to_string(line) + ": " + std::string(what));
}

// Sections of tahoe.cfg with every option that Tahoe 1.20 knows (spec/storage 12.2).
struct Known {
  std::string_view section;
  std::string_view keys;  // separated by single blanks, with one at both ends
};
constexpr std::array known_sections{
    Known{"node",
          " log_gatherer.furl nickname reveal-ip-address tempdir timeout.disconnect "
          "timeout.keepalive tub.location tub.port web.port web.static "},
    Known{"client",
          " helper.furl introducer.furl key_generator.furl mutable.format peers.preferred "
          "shares.happy shares.needed shares.total shares._max_immutable_segment_size_for_testing "
          "storage.plugins force_foolscap "},
    Known{"storage",
          " debug_discard enabled anonymous expire.cutoff_date expire.enabled expire.immutable "
          "expire.mode expire.mutable expire.override_lease_duration readonly reserved_space "
          "storage_dir plugins grid_management force_foolscap "},
    Known{"sftpd", " accounts.file enabled host_privkey_file host_pubkey_file port "},
    Known{"helper", " enabled "},
    Known{"connections", " tcp "},
    Known{"tor",
          " control.port enabled launch socks.port tor.executable onion onion.local_port "
          "onion.external_port onion.private_key_file "},
    Known{"i2p",
          " enabled i2p.configdir i2p.executable launch sam.port dest dest.port "
          "dest.private_key_file "},
};

// The sections that only lafs knows. A node directory that uses them is no longer one that Tahoe
// starts with; what must stay one says the same in [storageserver.plugins.lafs].
constexpr std::array own_sections{
    Known{"ftpd",
          " accounts.file allow-plain anonymous certificate enabled external-address "
          "idle-limit implicit-port key max-sessions passive-ports port read-only "
          "require-session-reuse "},
    Known{"files", " durability "},
    Known{"introducer", " enabled location port "},
    Known{"log", " file format level "},
    Known{"metrics", " port "},
    Known{"feedback", " enabled "},
};

// Options of Tahoe's that say nothing to lafs: it has no web server, no helper, no Tor and no I2P.
constexpr std::array unused_options{
    Known{"node",
          " log_gatherer.furl tempdir timeout.disconnect timeout.keepalive web.port web.static "},
    Known{"client",
          " helper.furl key_generator.furl shares._max_immutable_segment_size_for_testing "
          "storage.plugins force_foolscap "},
    Known{"storage", " debug_discard plugins force_foolscap "},
    Known{"sftpd", " host_pubkey_file "},
    Known{"helper", " enabled "},
    Known{"tor",
          " control.port enabled launch socks.port tor.executable onion onion.local_port "
          "onion.external_port onion.private_key_file "},
    Known{"i2p",
          " enabled i2p.configdir i2p.executable launch sam.port dest dest.port "
          "dest.private_key_file "},
};

const Known* known_section(std::string_view name) {
  for (const auto& known : known_sections) {
    if (known.section == name) return &known;
  }
  for (const auto& known : own_sections) {
    if (known.section == name) return &known;
  }
  return nullptr;
}

std::vector<std::string_view> words_of(std::string_view keys) {
  std::vector<std::string_view> out;
  while (!keys.empty()) {
    const auto word = keys.substr(0, keys.find(' '));
    keys.remove_prefix(std::min(keys.size(), word.size() + 1));
    if (!word.empty()) out.push_back(word);
  }
  return out;
}

bool free_form(std::string_view section) {
  return section == "grid_managers" || section == "grid_manager_certificates" ||
         section == "mounts" || section.starts_with("storageserver.plugins.") ||
         section.starts_with("storageclient.plugins.");
}

// Expanding %(...)s may double a text at every step; a value larger than this is not a value.
constexpr std::size_t expansion_limit = 1 << 20;

}  // namespace

Result<ConfigFile> ConfigFile::parse(std::string_view text, std::string name) {
  ConfigFile out;
  out.name_ = std::move(name);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);

  Options* section = nullptr;
  Option* option = nullptr;  // what an indented line continues
  std::size_t option_indent = 0;
  unsigned line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto content = trimmed(line);
    if (content.starts_with('#') || content.starts_with(';')) continue;
    if (content.empty()) {
      if (option) option->value += '\n';
      continue;
    }
    const auto indent = line.find_first_not_of(" \t\r\f\v");
    if (option && indent > option_indent) {
      option->value += '\n';
      option->value += content;
      continue;
    }
    option_indent = indent;
    option = nullptr;
    if (const auto close = content.rfind(']');
        content.starts_with('[') && close != content.npos && close > 1) {
      const auto section_name = content.substr(1, close - 1);
      if (section_name == "DEFAULT") {
        section = &out.defaults_;
      } else {
        auto& made = out.sections_[std::string(section_name)];
        if (!made.line) made.line = line_number;
        section = &made.options;
      }
      continue;
    }
    if (!section) return at(out.name_, line_number, "an option before the first [section]");
    const auto separator = content.find_first_of("=:");
    if (separator == content.npos) {
      return at(out.name_, line_number, "neither \"key = value\" nor \"[section]\"");
    }
    const auto key = lower(trimmed(content.substr(0, separator)));
    if (key.empty()) return at(out.name_, line_number, "a value without a key");
    option = &(*section)[key];
    *option = {std::string(trimmed(content.substr(separator + 1))), line_number};
  }
  // Blank lines after a value do not belong to it.
  const auto strip = [](Options& options) {
    for (auto& [key, o] : options) {
      const auto end = o.value.find_last_not_of(" \t\r\n\f\v");
      o.value.resize(end == std::string::npos ? 0 : end + 1);
    }
  };
  strip(out.defaults_);
  for (auto& [section_name, s] : out.sections_) strip(s.options);
  return out;
}

const ConfigFile::Option* ConfigFile::find(std::string_view section, std::string_view key) const {
  const auto s = sections_.find(section);
  if (s == sections_.end()) return nullptr;
  if (const auto o = s->second.options.find(key); o != s->second.options.end()) return &o->second;
  const auto d = defaults_.find(key);
  return d == defaults_.end() ? nullptr : &d->second;
}

std::string ConfigFile::where(std::string_view section, std::string_view key) const {
  const auto* option = find(section, key);
  if (option && !option->variable.empty()) return "$" + option->variable;
  return option ? name_ + ":" + std::to_string(option->line) : name_;
}

std::unexpected<Error> ConfigFile::wrong(std::string_view section, std::string_view key,
                                         std::string_view what) const {
  return fail(Errc::bad_config, where(section, key) + ": [" + std::string(section) + "] " +
                                    std::string(key) + " " + std::string(what));
}

Result<std::string> ConfigFile::expand(std::string_view section, std::string_view key,
                                       std::string_view value, unsigned depth,
                                       std::size_t& budget) const {
  if (depth > 10) return wrong(section, key, "refers to itself");
  std::string out;
  while (!value.empty()) {
    const auto percent = value.find('%');
    out += value.substr(0, percent);
    if (percent == value.npos) break;
    value.remove_prefix(percent + 1);
    if (value.starts_with('%')) {
      out += '%';
      value.remove_prefix(1);
      continue;
    }
    const auto close = value.find(")s");
    if (!value.starts_with('(') || close == value.npos) {
      return wrong(section, key, "has a lone %; write %% for a percent sign");
    }
    const auto name = lower(value.substr(1, close - 1));
    const auto* option = find(section, name);
    if (!option) return wrong(section, key, "refers to a missing option \"" + name + "\"");
    TRY(inner, expand(section, key, option->value, depth + 1, budget));
    out += inner;
    value.remove_prefix(close + 2);
  }
  if (out.size() > budget) return wrong(section, key, "becomes too long");
  budget -= out.size();
  return out;
}

Result<std::optional<std::string>> ConfigFile::text(std::string_view section,
                                                    std::string_view key) const {
  const auto* option = find(section, key);
  if (!option) return std::nullopt;
  std::size_t budget = expansion_limit;
  TRY(value, expand(section, key, option->value, 0, budget));
  if (key.ends_with(".furl") && value.find('#') != value.npos) {
    return wrong(section, key, "contains a '#', which no FURL does");
  }
  return value;
}

Result<std::optional<bool>> ConfigFile::boolean(std::string_view section,
                                                std::string_view key) const {
  TRY(value, text(section, key));
  if (!value) return std::nullopt;
  const auto word = lower(*value);
  if (word == "1" || word == "yes" || word == "true" || word == "on") return true;
  if (word == "0" || word == "no" || word == "false" || word == "off") return false;
  return wrong(section, key, "is \"" + *value + "\"; write true or false");
}

Result<std::optional<std::uint64_t>> ConfigFile::number(std::string_view section,
                                                        std::string_view key, std::uint64_t least,
                                                        std::uint64_t most) const {
  TRY(value, text(section, key));
  if (!value) return std::nullopt;
  const auto parsed = parse_decimal(*value);
  if (!parsed || *parsed < least || *parsed > most) {
    return wrong(section, key,
                 "is \"" + *value + "\"; write a number from " + std::to_string(least) + " to " +
                     std::to_string(most));
  }
  return *parsed;
}

std::vector<std::string> ConfigFile::keys(std::string_view section) const {
  std::vector<std::string> out;
  const auto found = sections_.find(section);
  if (found == sections_.end()) return out;
  for (const auto& [key, option] : found->second.options) out.push_back(key);
  return out;
}

void ConfigFile::override_by(const std::function<const char*(const char*)>& variable) {
  const auto look = [&](const Known& known) {
    for (const auto key : words_of(known.keys)) {
      std::string name = "LAFS_" + std::string(known.section) + "_" + std::string(key);
      std::ranges::transform(name, name.begin(), [](char c) {
        if (c >= 'a' && c <= 'z') return static_cast<char>(c - 32);
        return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
      });
      const char* value = variable(name.c_str());
      if (!value) continue;
      auto& option = sections_[std::string(known.section)].options[std::string(key)];
      // A value in the environment is meant as it stands.
      option.value.clear();
      for (const char* c = value; *c; ++c) option.value += *c == '%' ? "%%" : std::string(1, *c);
      option.line = 0;
      option.variable = name;
    }
  };
  for (const auto& known : known_sections) look(known);
  for (const auto& known : own_sections) look(known);
}

std::vector<ConfigFile::Entry> ConfigFile::entries() const {
  std::vector<Entry> out;
  for (const auto& [section_name, section] : sections_) {
    const auto* known = known_section(section_name);
    const bool any = free_form(section_name);
    std::string wrong_section;
    if (!known && !any) {
      std::vector<std::string_view> names;
      for (const auto& one : known_sections) names.push_back(one.section);
      for (const auto& one : own_sections) names.push_back(one.section);
      wrong_section = "unknown section [" + section_name + "]" + suggestion(section_name, names);
      if (section.options.empty()) {
        out.push_back(
            {section_name, {}, {}, name_ + ":" + std::to_string(section.line), wrong_section});
      }
    }
    for (const auto& [key, option] : section.options) {
      Entry entry{section_name, key, option.value, where(section_name, key), wrong_section};
      if (auto value = text(section_name, key)) {
        entry.value = value->value_or("");
      } else {
        entry.complaint = value.error().context;
      }
      for (const auto& unused : unused_options) {
        if (unused.section == section_name && unused.keys.find(" " + key + " ") != unused.keys.npos)
          entry.used = false;
      }
      if (known && known->keys.find(" " + key + " ") == known->keys.npos) {
        entry.complaint = "unknown option \"" + key + "\" in [" + section_name + "]" +
                          suggestion(key, words_of(known->keys));
      }
      out.push_back(std::move(entry));
    }
  }
  return out;
}

Result<> ConfigFile::check_known() const {
  for (const auto& entry : entries()) {
    if (entry.complaint.starts_with("unknown "))
      return fail(Errc::bad_config, entry.where + ": " + entry.complaint);
  }
  return {};
}

}  // namespace lafs::grid
