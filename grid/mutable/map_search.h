// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whom to ask for shares next, and when enough is known (spec/mutable 5.1). Plain: the time is
// passed in.

#include "grid/base/task.h"
#include "grid/mutable/servermap.h"

namespace lafs::grid {

enum class MapMode : std::uint8_t {
  read,   // the best version, most likely
  write,  // every share a publish has to replace, most likely
  check,  // every server
};

class MapSearch {
 public:
  struct Options {
    MapMode mode = MapMode::read;
    std::uint64_t k = 3;  // what the file is believed to be encoded with
    std::uint64_t n = 10;
    std::size_t servers = 0;
    std::set<ServerNo> must_ask;  // known to have held shares: asked at once; WRITE waits for them
    Duration patience{};          // see wait_until()
  };

  explicit MapSearch(Options options);

  // The servers to ask now, besides those under way. They count as asked from here on.
  std::vector<ServerNo> next(const ServerMap& map);
  // `server` answered or failed; the map has been told already.
  void settled(ServerNo server, TimePoint now);

  // Nothing more needs to be waited for.
  bool done(const ServerMap& map, TimePoint now) const;
  // When to look at done() again although nothing was heard: when fewer than k servers are silent
  // and everybody has been asked, they are waited for no longer than `patience` after the last
  // answer.
  TimePoint wait_until() const;

 private:
  std::size_t under_way() const { return asked_.size() - settled_.size(); }
  bool silent(ServerNo server) const {
    return asked_.contains(server) && !settled_.contains(server);
  }
  bool read_rule(const ServerMap& map) const;
  bool everything_known(const ServerMap& map) const;
  // WRITE: everybody left of the boundary has been heard, and the boundary was found.
  bool boundary_found(const ServerMap& map) const;

  Options options_;
  std::set<ServerNo> asked_;
  std::set<ServerNo> settled_;
  std::uint64_t place_ = 0;  // in the permuted order: all before it have been asked
  bool started_ = false;
  TimePoint last_answer_{};
};

}  // namespace lafs::grid
