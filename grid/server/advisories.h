// SPDX-License-Identifier: Apache-2.0
#pragma once

// What clients reported as damaged, as it lies in corruption-advisories/ (spec/storage 5.7), and
// what our own look at the share found: a file "<advisory>.checked" beside the advisory, which
// Tahoe leaves alone:
//
//   checked: 2026-11-22T07:20:37Z
//   result: damaged            or: sound, gone (there is no such share any more), unknown
//   <blank>
//   <what is wrong>
//
// Blocking.

#include <optional>

#include "grid/server/share_tree.h"

namespace lafs::grid::storage {

class Disk;

struct Advisory {
  std::string file;  // its name in the directory
  std::string time;  // "2026-11-22T07:20:37Z"
  ShareKind kind = ShareKind::immutable;
  StorageIndex si;
  ShareNo number;
  std::string reason;  // as the client wrote it
  enum class Finding : std::uint8_t { sound, damaged, gone, unknown };
  struct Check {
    std::string time;
    Finding finding = Finding::unknown;
    std::string detail;
  };
  std::optional<Check> check;
};

std::string_view name_of(Advisory::Finding finding);
// What a look at the share that ended so has found.
Advisory::Finding finding_of(const Result<>& outcome);

// Oldest first. What is no advisory is passed over. Errc::io, access_denied.
Result<std::vector<Advisory>> list_advisories(const ShareTree& tree);

// One of them, by its name. Errc::not_found, io, access_denied, corrupt.
Result<Advisory> read_advisory(const ShareTree& tree, const std::string& file);

// Errc::corrupt: not an advisory.
Result<Advisory> parse_advisory(std::string_view file_name, std::string_view text);
std::optional<Advisory::Check> parse_check(std::string_view text);

Result<> note_check(Disk& disk, const ShareTree& tree, const std::string& advisory,
                    const Result<>& outcome, std::int64_t now);

}  // namespace lafs::grid::storage
