// SPDX-License-Identifier: Apache-2.0
#pragma once

// The requests of one mount that have no answer yet, so that an INTERRUPT can find its own.

#include <cstdint>
#include <list>

namespace lafs::fuse {

class Reply;

class Pending {
 public:
  using Place = std::list<Reply*>::iterator;

  Place add(Reply* reply) { return all_.insert(all_.end(), reply); }
  void remove(Place place) { all_.erase(place); }
  // Null when it has been answered. Linear: few are open, and fewer are interrupted.
  Reply* find(std::uint64_t unique) const;

 private:
  std::list<Reply*> all_;
};

// True when the thread has a SIGKILL to obey, as every fatal signal becomes one, or is gone. False
// when that cannot be known.
bool is_being_killed(int thread);

}  // namespace lafs::fuse
