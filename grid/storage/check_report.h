// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a look at all servers says about one file, mutable or not (spec/immutable 11). Servers are
// named by their ids.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "grid/base/throttle.h"
#include "grid/caps/storage_index.h"

namespace lafs::grid {

struct CheckOptions {
  bool verify = false;  // read every share and prove every byte of it, else believe the servers
  // Repair a mutable file although versions compete: the best that can be read wins.
  bool force = false;
  bool add_lease = false;                        // on every server that has a share
  Duration deadline = std::chrono::seconds(15);  // for one answer
  std::shared_ptr<Throttle> throttle{};          // of what is read to verify
};

struct BadShare {
  std::string server;
  ShareNo number;
  std::string reason;
};

struct CheckReport {
  std::uint64_t k = 0;
  std::uint64_t n = 0;
  std::uint64_t wanted_happiness = 0;
  std::uint64_t happiness = 0;                      // filled in by grid/checker
  std::map<ShareNo, std::set<std::string>> shares;  // good ones only
  std::vector<BadShare> corrupt;
  std::vector<BadShare> incompatible;  // of a format we do not know
  std::set<std::string> answered;
  std::map<std::string, std::string> failed;  // servers that did not answer: why
  // Of a mutable file: how many versions there are. Shares above are those of the best one.
  std::size_t recoverable_versions = 0;
  std::size_t unrecoverable_versions = 0;
  bool verified = false;
  bool literal = false;  // the cap holds the content: always healthy

  bool recoverable() const { return literal || recoverable_versions > 0; }
  // Every share is somewhere. Servers of happiness are a question of their own.
  bool healthy() const {
    return literal ||
           (shares.size() == n && recoverable_versions == 1 && unrecoverable_versions == 0);
  }
  bool happy() const { return literal || happiness >= wanted_happiness; }
  // A corrupt share needs none when there is a good one of the same number: nobody can delete it.
  bool needs_repair() const { return !healthy() || !happy(); }
  std::set<std::string> servers_with_shares() const;
  // "healthy: 10 of 10 shares (3 needed) on 10 servers".
  std::string summary() const;
};

}  // namespace lafs::grid
