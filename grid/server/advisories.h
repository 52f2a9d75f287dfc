// SPDX-License-Identifier: Apache-2.0
#pragma once

// What clients reported as damaged, as it lies in corruption-advisories/ (spec/storage 5.7), and
// what our own look at the share found: a file "<advisory>.checked" beside the advisory, which
// Tahoe leaves alone:
//
//   checked: 2026-11-22T07:20:37Z
//   result: damaged            or: sound
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
  struct Check {
    std::string time;
    bool sound = false;
    std::string detail;
  };
  std::optional<Check> check;
};

// Oldest first. What is no advisory is passed over. Errc::io, access_denied.
Result<std::vector<Advisory>> list_advisories(const ShareTree& tree);

// Errc::corrupt: not an advisory.
Result<Advisory> parse_advisory(std::string_view file_name, std::string_view text);
std::optional<Advisory::Check> parse_check(std::string_view text);

Result<> note_check(Disk& disk, const ShareTree& tree, const std::string& advisory,
                    const Result<>& outcome, std::int64_t now);

}  // namespace lafs::grid::storage
