// SPDX-License-Identifier: Apache-2.0
#pragma once

// A progress bar on standard error: on a terminal only, once an operation has taken a second, at
// most ten times a second, and gone without a trace when the operation ends.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "grid/base/task.h"

namespace lafs::cli {

struct ProgressState {
  std::string what;                    // "big.iso"
  std::uint64_t done = 0;              // bytes
  std::optional<std::uint64_t> total;  // unknown for pipes
  std::string unit = {};               // what is counted when it is not bytes: "files"
};

// One line of at most `width` columns: "big.iso  [=====>    ]  45 %  1.20 GB  85.1 MB/s  0:14".
// Pure.
std::string progress_line(const ProgressState& state, Duration elapsed, std::size_t width);

class Progress {
 public:
  // `wanted` false (--quiet, --json): never shows anything.
  explicit Progress(std::string what, bool wanted = true);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void what(std::string text) { state_.what = std::move(text); }
  void unit(std::string text) { state_.unit = std::move(text); }
  void total(std::optional<std::uint64_t> bytes) { state_.total = bytes; }
  void add(std::uint64_t bytes) { at(state_.done + bytes); }
  void at(std::uint64_t done);

 private:
  void clear();

  ProgressState state_;
  bool enabled_;
  bool shown_ = false;
  TimePoint started_;
  TimePoint next_;
};

}  // namespace lafs::cli
