// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much may be under way to a server, and how long it may take. Plain: the time is passed in.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "grid/base/task.h"

namespace lafs::grid {

// The window of one server: twice what its line holds (bandwidth times delay), so that the line is
// full and the estimate can grow; between `least` and `most` bytes.
class SendWindow {
 public:
  SendWindow(std::uint64_t least, std::uint64_t most)
      : least_(least), most_(std::max(least, most)), bytes_(least_) {}

  struct Ticket {
    TimePoint at;
    std::uint64_t delivered;
  };
  Ticket started(TimePoint now) const { return {now, delivered_}; }
  void acknowledged(const Ticket& ticket, std::uint64_t bytes, TimePoint now);
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::uint64_t least_, most_, bytes_;
  std::uint64_t delivered_ = 0;
  Duration shortest_ = Duration::max();
  std::deque<double> rates_;  // of the last pieces, bytes a second
};

// When a piece is overdue, seen from all servers of one upload: one that is silent while others go
// on is given up much sooner than one that is as slow as all the others.
class SendPatience {
 public:
  SendPatience(Duration least, Duration most) : least_(least), most_(most) {}

  void took(Duration d);
  // Ten times what nearly all pieces took.
  Duration patience() const;

 private:
  Duration least_, most_;
  std::vector<Duration> recent_;
  std::size_t at_ = 0;
};

}  // namespace lafs::grid
