// SPDX-License-Identifier: Apache-2.0
#pragma once

// How uploads leave the machine to those who use the drive: while many requests come in, each step
// of theirs (a job begun, a piece of content read) waits for its turn, of which there are a few
// each second; otherwise nobody waits. So a program that makes thousands of files is not slowed
// down by its first ones going to the grid, and those go on all the same. Plain; the time is given.

#include <chrono>
#include <optional>

#include "grid/base/task.h"

namespace lafs::cache {

class Pace {
 public:
  // So many requests of people were served just now.
  void used(unsigned requests, TimePoint now);
  bool busy(TimePoint now) const;

  enum class Step : std::uint8_t { job, piece };
  // A step wants to begin: when to ask again, or nothing: now.
  std::optional<TimePoint> hold(Step step, TimePoint now);

 private:
  static constexpr auto window = std::chrono::milliseconds(40);
  static constexpr unsigned many = 10;  // in a window: 250 a second
  static constexpr auto lull = std::chrono::milliseconds(25);
  // How often each kind of step has its turn.
  static constexpr std::chrono::milliseconds turn[2] = {std::chrono::milliseconds(100),
                                                        std::chrono::milliseconds(25)};

  TimePoint window_began_{}, last_use_{}, last_turn_[2] = {};
  unsigned in_window_ = 0, in_last_window_ = 0;
};

}  // namespace lafs::cache
