// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/target.h"

#include "grid/base/log.h"
#include "grid/caps/cap.h"
#include "grid/node_dir/aliases.h"

namespace lafs::cli {

namespace {

Result<Target> below(Target target, std::string_view path) {
  target.kind = Target::Kind::grid;
  target.is_folder = path.ends_with('/');
  TRY(names, split_path(path));
  target.path = std::move(names);
  return target;
}

// A cap, with or without a path; nothing when the text is something else.
std::optional<Result<Target>> from_cap(std::string_view text) {
  if (!grid::has_cap_prefix(text)) return std::nullopt;
  const auto slash = std::min(text.find('/'), text.size());
  Target out;
  out.cap = text.substr(0, slash);
  return below(std::move(out), text.substr(slash));
}

}  // namespace

std::string Target::text() const {
  switch (kind) {
    case Kind::pipe:
      return "-";
    case Kind::local:
      return local;
    case Kind::grid:
      break;
  }
  std::string out = cap.empty() ? alias + ":" : log::redact(cap) + (path.empty() ? "" : "/");
  for (std::size_t i = 0; i < path.size(); ++i) out += (i ? "/" : "") + path[i];
  return out;
}

Result<std::vector<std::string>> split_path(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const auto name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    if (name.empty() || name == ".") continue;
    if (name == "..") return fail(Errc::bad_name, "\"..\" in a path on the grid");
    out.emplace_back(name);
  }
  return out;
}

Result<Target> parse_target(std::string_view text) {
  if (text.empty()) return fail(Errc::bad_argument, "an empty path");
  Target out;
  if (text == "-") {
    out.kind = Target::Kind::pipe;
    return out;
  }
  if (auto cap = from_cap(text)) return std::move(*cap);
  const auto colon = text.find(':');
  if (colon == text.npos || text.find('/') < colon) {
    out.local = text;
    out.is_folder = text.ends_with('/');
    return out;
  }
  const auto name = text.substr(0, colon);
  TRY_DO(grid::check_alias_name(name));
  out.alias = name;
  return below(std::move(out), text.substr(colon + 1));
}

Result<Target> parse_grid_target(std::string_view text) {
  if (text == "-") return fail(Errc::bad_argument, "\"-\" is not a place on the grid");
  if (auto cap = from_cap(text)) return std::move(*cap);
  const auto colon = text.find(':');
  if (colon != text.npos && text.find('/') >= colon) return parse_target(text);
  Target out;
  out.alias = "tahoe";
  return below(std::move(out), text);
}

}  // namespace lafs::cli
