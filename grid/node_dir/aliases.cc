// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/aliases.h"

#include "grid/node_dir/files.h"

namespace lafs::grid {

Result<Aliases> parse_aliases(std::string_view text, const std::string& file) {
  Aliases out;
  unsigned line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto content = trimmed(line);
    if (content.empty() || content.starts_with('#')) continue;
    const auto colon = content.find(':');
    const auto cap =
        colon == content.npos ? std::string_view{} : trimmed(content.substr(colon + 1));
    if (cap.empty()) {
      return fail(Errc::bad_config,
                  file + ":" + std::to_string(line_number) + ": not of the form \"name: cap\"");
    }
    out.insert_or_assign(std::string(content.substr(0, colon)), std::string(cap));
  }
  return out;
}

Result<> check_alias_name(std::string_view name) {
  if (name.empty()) return fail(Errc::bad_name, "an alias needs a name");
  for (const char c : name) {
    if (static_cast<unsigned char>(c) <= ' ' || c == ':' || c == '/' || c == '\x7f' || c == '#') {
      return fail(Errc::bad_name, "alias \"" + std::string(name) +
                                      "\": no ':', '/', '#', blanks or control characters");
    }
  }
  return {};
}

}  // namespace lafs::grid
