// SPDX-License-Identifier: Apache-2.0
#include "tests/fake/fake_grid.h"

namespace lafs::grid::fake {

FakeGrid::FakeGrid(GridOptions options) {
  steps.fail_at = options.fail_at;
  steps.lost = options.lost;
  for (std::size_t i = 0; i < options.servers; ++i) add_server();
}

std::size_t FakeGrid::add_server() {
  const auto i = servers_.size();
  const auto name = "server" + std::to_string(i);
  auto server = std::make_shared<FakeServer>(name);
  server->grid_steps = &steps;
  storage::KnownServer known;
  known.id = "v0-fake" + std::to_string(i);
  known.nickname = name;
  known.permutation_seed = Bytes(32, static_cast<std::uint8_t>(i));
  known.lease_seed.fill(static_cast<std::uint8_t>(i));
  known.server = server;
  roster_.add(std::move(known));
  servers_.push_back(std::move(server));
  return i;
}

FakeServer& FakeGrid::permuted(const StorageIndex& si, std::size_t i) {
  return static_cast<FakeServer&>(*roster_.permuted(si).at(i)->server);
}

void FakeGrid::fail_at(std::uint64_t n, Lost lost) {
  steps.fail_at = steps.calls + n;
  steps.lost = lost;
  steps.fired = false;
}

std::uint64_t FakeGrid::calls(Verb verb) const {
  std::uint64_t n = 0;
  for (auto& s : servers_) n += s->calls(verb);
  return n;
}

std::uint64_t FakeGrid::total_calls() const {
  std::uint64_t n = 0;
  for (auto& s : servers_) n += s->total_calls();
  return n;
}

std::size_t FakeGrid::unfinished_uploads() const {
  std::size_t n = 0;
  for (auto& s : servers_) n += s->unfinished_uploads();
  return n;
}

std::size_t FakeGrid::corruption_reports() const {
  std::size_t n = 0;
  for (auto& s : servers_) n += s->corruption_reports().size();
  return n;
}

std::map<ShareNo, std::set<std::size_t>> FakeGrid::share_map(const StorageIndex& si) const {
  std::map<ShareNo, std::set<std::size_t>> out;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    for (auto number : servers_[i]->shares(si)) out[number].insert(i);
  }
  return out;
}

void FakeGrid::reset_counters() {
  for (auto& s : servers_) s->reset_counters();
}

void FakeGrid::gather(const StorageIndex& si, std::size_t to) {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (i == to) continue;
    for (auto number : servers_[i]->shares(si)) {
      servers_[to]->put_share(si, number, *servers_[i]->get_share(si, number));
      servers_[i]->delete_share(si, number);
    }
  }
}

}  // namespace lafs::grid::fake
