// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a process's log goes, and how: what [log] of tahoe.cfg and --log say. Standard error unless
// a file is named. Lines for the journal of systemd begin with their priority ("<4>warning ...",
// sd-daemon(3)) and without a time, since journald has both.

#include <filesystem>
#include <optional>

#include "grid/base/log.h"
#include "grid/base/result.h"

namespace lafs::log {

struct Setup {
  Level level = Level::warning;
  enum class Form { text, json, journal } form = Form::text;
  std::filesystem::path file = {};  // empty: standard error
};

// Opens the file anew, also when it is the same: after a logrotate it is another one. When it
// cannot be opened nothing changes.
Result<> set_up(const Setup& setup);

std::optional<Level> level_of(std::string_view name);
// Whether standard error is a stream to journald ($JOURNAL_STREAM names it).
bool is_journal();
// How many lines were written, by level, since the start.
std::uint64_t lines(Level level);

}  // namespace lafs::log
