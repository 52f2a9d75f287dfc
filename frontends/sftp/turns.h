// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which requests of one session may run side by side. A client that sends several without waiting
// must see what it would see if they ran one after the other; what cannot tell the difference
// overtakes freely: reads, writes of different bytes, work on different files.
//
// Plain: each request claims what it looks at or changes; it may start when every earlier request
// that it conflicts with is done. Paths are compared as text, absolute and without "." and ".."; a
// path conflicts with itself, with what is below it and above it.

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lafs::sftp {

struct Claim {
  struct OnHandle {
    std::uint64_t handle = 0;
    std::uint64_t begin = 0, end = UINT64_MAX;
    bool changes = false;
  };
  struct OnPath {
    std::shared_ptr<const std::string> path;
    bool changes = false;
    // Only this file: who merely looks at a directory above it sees nothing of it.
    bool alone = false;
  };
  std::vector<OnHandle> handles;
  // Of requests by handle this is where the file was opened: it keeps them in order with requests
  // by path, not with each other.
  std::vector<OnPath> paths;
};

bool conflict(const Claim& a, const Claim& b);

// "a/./b/../c" below `directory` as "/directory/a/c"; ".." stops at "/".
std::string plain_path(std::string_view directory, std::string_view path);

class Turns {
 public:
  using Ticket = std::uint64_t;

  // True in `now` when it may start at once.
  struct Added {
    Ticket ticket;
    bool now;
  };
  Added add(Claim claim);
  // Those that may start now, in order of their arrival.
  std::vector<Ticket> done(Ticket ticket);
  std::size_t outstanding() const { return entries_.size(); }

 private:
  struct Entry {
    Ticket ticket;
    Claim claim;
    std::size_t blockers = 0;
    std::vector<Ticket> blocks;
  };
  std::list<Entry> entries_;  // in order of arrival
  Ticket next_ = 1;
};

}  // namespace lafs::sftp
