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
  // Bytes a second that have come through lately; 0 while nothing is known.
  double rate() const { return rates_.empty() ? 0 : *std::ranges::max_element(rates_); }

 private:
  std::uint64_t least_, most_, bytes_;
  std::uint64_t delivered_ = 0;
  Duration shortest_ = Duration::max();
  std::deque<double> rates_;  // of the last pieces, bytes a second
};

// When a piece is overdue, seen from all servers of one upload: one that is silent while the others
// go on is given up soon; when all of them are silent, it is our own line, and none is to blame.
class SendPatience {
 public:
  using Writer = std::size_t;

  SendPatience(Duration least, Duration most) : least_(least), most_(most) {}

  Writer join();
  // A piece set out, and was acknowledged after `d` or failed.
  void started(Writer writer) { ++writers_[writer].under_way; }
  void took(Writer writer, Duration d, TimePoint now);
  void failed(Writer writer) { --writers_[writer].under_way; }

  // Five times what nearly all pieces took.
  Duration patience() const;
  // A piece of `writer` that set out at `since`.
  bool overdue(Writer writer, TimePoint since, TimePoint now) const;
  // When to ask again.
  TimePoint next_look(TimePoint since, TimePoint now) const;

 private:
  struct State {
    std::size_t under_way = 0;
    TimePoint last{};  // acknowledged
  };

  Duration least_, most_;
  std::vector<State> writers_;
  std::vector<Duration> recent_;
  std::size_t at_ = 0;
};

}  // namespace lafs::grid
