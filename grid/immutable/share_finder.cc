// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/share_finder.h"

namespace lafs::grid {

ShareFinder::ShareFinder(asio::any_io_executor executor, const storage::Roster& roster,
                         StorageIndex si, ShareChooser& chooser, Signal& news, FinderLimits limits)
    : roster_(roster),
      si_(si),
      chooser_(chooser),
      news_(news),
      limits_(limits),
      begun_(Clock::now()),
      tasks_(std::move(executor)) {
  add_servers();
}

void ShareFinder::add_servers() {
  for (const auto* known : roster_.permuted(si_)) {
    const bool have = std::ranges::any_of(
        servers_, [&](const Asked& asked) { return asked.known.server == known->server; });
    if (have) continue;
    order_.push_back(servers_.size());
    servers_.push_back({*known, std::nullopt, false});
  }
}

void ShareFinder::look_on() {
  while (next_ < order_.size() && under_way_ - slow_ < limits_.at_once) {
    ++under_way_;
    tasks_.spawn(ask(order_[next_++]));
  }
}

void ShareFinder::refresh(TimePoint now) {
  if (!exhausted() || now - begun_ < limits_.ask_again) return;
  begun_ = now;
  order_.clear();
  next_ = 0;
  for (ServerNo i = 0; i < servers_.size(); ++i) {
    if (!servers_[i].answered) order_.push_back(i);
  }
  add_servers();
}

Task<> ShareFinder::count_as_slow(bool& slow, bool& done) {
  co_await sleep_for(limits_.patience);
  if (done) co_return;
  slow = true;
  ++slow_;
  news_.notify();
}

Task<> ShareFinder::ask(ServerNo number) {
  // A copy: servers_ may grow meanwhile.
  const auto server = servers_[number].known.server;
  const auto begin = Clock::now();
  bool slow = false, done = false;
  TaskGroup watch(co_await asio::this_coro::executor);
  watch.spawn(count_as_slow(slow, done));
  auto reply = co_await within(limits_.deadline, "asking for shares",
                               server->list(storage::ShareKind::immutable, si_));
  done = true;
  watch.cancel();
  co_await watch.join();
  --under_way_;
  if (slow) --slow_;
  auto& asked = servers_[number];
  if (reply) {
    asked.answered = true;
    asked.error.reset();
    for (auto share : *reply) chooser_.found({number, share}, Clock::now() - begin);
  } else {
    asked.error = std::move(reply).error();
  }
  news_.notify();
}

std::string ShareFinder::failures() const {
  std::string out;
  for (auto& asked : servers_) {
    if (!asked.error) continue;
    if (!out.empty()) out += ", ";
    out += asked.known.name() + ": " + std::string(describe(asked.error->code));
  }
  return out;
}

Task<> ShareFinder::close() {
  tasks_.cancel();
  co_await tasks_.join();
}

}  // namespace lafs::grid
