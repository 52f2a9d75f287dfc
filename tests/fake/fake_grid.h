// SPDX-License-Identifier: Apache-2.0
#pragma once

// A grid of FakeServers with seeds that do not change from run to run, and one counter of calls
// over all of them ("fail at every step").

#include <memory>
#include <vector>

#include "grid/storage/roster.h"
#include "tests/fake/fake_server.h"

namespace lafs::grid::fake {

struct GridOptions {
  std::size_t servers = 10;
  // The call (over all servers, from 0) that fails.
  std::optional<std::uint64_t> fail_at{};
  Lost lost = Lost::request;
};

class FakeGrid {
 public:
  explicit FakeGrid(GridOptions options = {});
  FakeGrid(const FakeGrid&) = delete;
  FakeGrid& operator=(const FakeGrid&) = delete;

  storage::Roster& roster() { return roster_; }
  std::size_t size() const { return servers_.size(); }
  FakeServer& server(std::size_t i) { return *servers_.at(i); }
  // The i-th in the permuted order of `si`.
  FakeServer& permuted(const StorageIndex& si, std::size_t i);
  // Adds one more server and returns its index.
  std::size_t add_server();

  FailPoint steps;  // every call of every server
  // The n-th call from now on any server fails.
  void fail_at(std::uint64_t n, Lost lost = Lost::request);

  // --- sums over all servers
  std::uint64_t calls(Verb verb) const;
  std::uint64_t total_calls() const;
  std::size_t unfinished_uploads() const;
  std::size_t corruption_reports() const;
  // Which servers hold which complete shares: share number -> indexes of servers.
  std::map<ShareNo, std::set<std::size_t>> share_map(const StorageIndex& si) const;
  void reset_counters();
  // Moves every share of `si` to server `to`.
  void gather(const StorageIndex& si, std::size_t to);

 private:
  std::vector<std::shared_ptr<FakeServer>> servers_;
  storage::Roster roster_;
};

}  // namespace lafs::grid::fake
