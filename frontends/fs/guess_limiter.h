// SPDX-License-Identifier: Apache-2.0
#pragma once

// Slows down who guesses passwords and keys, by the address it comes from and by the account it
// tries. A failure counts one; counts run down by one each `forget`. An address at its limit is
// refused. An account at its limit is refused to addresses that have not logged in to it lately, so
// that guessing from everywhere neither succeeds nor locks the owner out.
//
// Plain: time is passed in. Bounded: the oldest entries go when there are too many.

#include <map>
#include <string>
#include <string_view>

#include "grid/base/task.h"

namespace lafs::fs {

class GuessLimiter {
 public:
  struct Options {
    unsigned address_limit = 12;
    unsigned account_limit = 60;
    Duration forget = std::chrono::seconds(30);
    Duration known_for = std::chrono::hours(24 * 7);  // how long a good login is remembered
    std::size_t entries = 10'000;                     // of each kind
  };

  GuessLimiter() : GuessLimiter(Options()) {}
  explicit GuessLimiter(Options options) : options_(options) {}

  // Whether this one may try now. Also to be asked when a connection comes in (account empty).
  bool may_try(std::string_view address, std::string_view account, TimePoint now);
  void failed(std::string_view address, std::string_view account, TimePoint now);
  void succeeded(std::string_view address, std::string_view account, TimePoint now);

  // What counts as one address: an IPv4 address, the first 64 bits of an IPv6 one.
  static std::string source(std::string_view address);

 private:
  struct Count {
    double failures = 0;
    TimePoint since;
  };
  using Counts = std::map<std::string, Count, std::less<>>;

  double failures(const Counts& counts, std::string_view key, TimePoint now) const;
  void add(Counts& counts, std::string_view key, TimePoint now);

  Options options_;
  Counts addresses_, accounts_;
  std::map<std::string, TimePoint, std::less<>> known_;  // "address account": last good login
};

}  // namespace lafs::fs
