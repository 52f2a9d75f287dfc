// SPDX-License-Identifier: Apache-2.0
#include "grid/server/advisories.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "grid/base/netstring.h"
#include "grid/server/disk.h"

namespace lafs::grid::storage {

namespace {

constexpr std::size_t largest_file = 64 << 10;
constexpr std::string_view suffix = ".checked";

std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const auto line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// The rest of "<key>: <rest>", or nothing.
std::optional<std::string_view> value_of(std::string_view line, std::string_view key) {
  if (!line.starts_with(key) || !line.substr(key.size()).starts_with(": ")) return std::nullopt;
  return line.substr(key.size() + 2);
}

std::string_view without_trailing_lines(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

Result<std::string> read_whole(const std::filesystem::path& path) {
  TRY(file, File::open(path));
  Bytes raw(largest_file);
  TRY(n, file.read(0, raw));
  return to_text(ByteView(raw).first(n));
}

using Finding = Advisory::Finding;
struct FindingName {
  Finding finding;
  std::string_view name;
};
constexpr FindingName findings[] = {{Finding::sound, "sound"},
                                    {Finding::damaged, "damaged"},
                                    {Finding::gone, "gone"},
                                    {Finding::unknown, "unknown"}};

}  // namespace

std::string_view name_of(Finding finding) {
  return std::ranges::find(findings, finding, &FindingName::finding)->name;
}

Finding finding_of(const Result<>& outcome) {
  if (outcome) return Finding::sound;
  switch (outcome.error().code) {
    case Errc::not_found:
      return Finding::gone;
    case Errc::unsupported:
    case Errc::too_large:
    case Errc::busy:
      return Finding::unknown;
    default:
      return Finding::damaged;  // what the disk cannot read is
  }
}

Result<Advisory> parse_advisory(std::string_view file_name, std::string_view text) {
  const auto no = [] { return fail(Errc::corrupt, "not a corruption advisory"); };
  Advisory out;
  out.file = file_name;
  // "2026-11-22T072037.704392--..."
  const auto dashes = file_name.find("--");
  if (dashes == file_name.npos || dashes < 17) return no();
  const auto stamp = file_name.substr(0, dashes);
  out.time =
      fmt::format("{}:{}:{}Z", stamp.substr(0, 13), stamp.substr(13, 2), stamp.substr(15, 2));
  if (take_line(text) != "report: Share Corruption") return no();
  const auto kind = value_of(take_line(text), "type");
  const auto si = value_of(take_line(text), "storage_index");
  const auto number = value_of(take_line(text), "share_number");
  if (!kind || !si || !number || !take_line(text).empty()) return no();
  const auto index = StorageIndex::from_text(*si);
  const auto n = parse_decimal(*number);
  if ((*kind != "immutable" && *kind != "mutable") || !index || !n) return no();
  out.kind = *kind == "mutable" ? ShareKind::mutable_ : ShareKind::immutable;
  out.si = *index;
  out.number = ShareNo{*n};
  out.reason = without_trailing_lines(text);
  return out;
}

std::optional<Advisory::Check> parse_check(std::string_view text) {
  const auto time = value_of(take_line(text), "checked");
  const auto result = value_of(take_line(text), "result");
  if (!time || !result) return std::nullopt;
  const auto finding = std::ranges::find(findings, *result, &FindingName::name);
  if (finding == std::end(findings)) return std::nullopt;
  take_line(text);
  return Advisory::Check{std::string(*time), finding->finding,
                         std::string(without_trailing_lines(text))};
}

Result<Advisory> read_advisory(const ShareTree& tree, const std::string& file) {
  // A name, not a way out of the directory.
  if (file.find('/') != file.npos) return fail(Errc::not_found, "no advisory " + file);
  const auto path = tree.advisories() / file;
  TRY(text, read_whole(path));
  TRY(advisory, parse_advisory(file, text));
  if (const auto check = read_whole(path.string() + std::string(suffix))) {
    advisory.check = parse_check(*check);
  }
  return advisory;
}

Result<std::vector<Advisory>> list_advisories(const ShareTree& tree) {
  std::vector<Advisory> out;
  std::error_code error;
  for (std::filesystem::directory_iterator it(tree.advisories(), error), end; !error && it != end;
       it.increment(error)) {
    const auto name = it->path().filename().string();
    if (name.ends_with(suffix)) continue;
    if (auto advisory = read_advisory(tree, name)) out.push_back(std::move(*advisory));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(error == std::errc::permission_denied ? Errc::access_denied : Errc::io,
                "listing " + tree.advisories().string() + ": " + error.message());
  }
  std::ranges::sort(out, {}, &Advisory::file);
  return out;
}

Result<> note_check(Disk& disk, const ShareTree& tree, const std::string& advisory,
                    const Result<>& outcome, std::int64_t now) {
  const auto text =
      fmt::format("checked: {:%Y-%m-%dT%H:%M:%SZ}\nresult: {}\n\n{}\n",
                  fmt::gmtime(static_cast<std::time_t>(now)), name_of(finding_of(outcome)),
                  outcome ? "" : outcome.error().message());
  TRY(file, disk.create(tree.advisories() / (advisory + std::string(suffix))));
  return disk.write(file, 0, as_bytes(text));
}

}  // namespace lafs::grid::storage
