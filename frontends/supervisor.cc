// SPDX-License-Identifier: Apache-2.0
#include "frontends/supervisor.h"

#include <algorithm>

#include "grid/base/log.h"

namespace lafs {

namespace {
// Who served for this long is not in a fit of failures.
constexpr Duration settled = std::chrono::minutes(1);
}  // namespace

void Stop::request() {
  requested_ = true;
  changed_.notify();
}

Task<> Stop::wait(TimePoint deadline) {
  while (!requested_ && Clock::now() < deadline) co_await changed_.wait(deadline);
}

Supervisor::Supervisor(asio::any_io_executor executor, Waits waits)
    : executor_(executor), waits_(waits), parts_(executor) {}

void Supervisor::set(std::string name, std::string settings, Run run) {
  if (closing_) return;
  for (auto& part : all_) {
    if (part.state.name != name) continue;
    // One that is on its way out comes back, whatever it was made from.
    if (part.settings == settings && !part.stop.requested()) return;
    part.settings = std::move(settings);
    part.next = std::move(run);
    part.stop.request();
    return;
  }
  const auto part = all_.emplace(all_.end(), executor_);
  part->state.name = std::move(name);
  part->settings = std::move(settings);
  part->run = std::move(run);
  parts_.spawn(keep(part));
}

void Supervisor::keep_only(const std::vector<std::string>& names) {
  for (auto& part : all_) {
    if (std::ranges::find(names, part.state.name) != names.end()) continue;
    part.next = {};
    part.stop.request();
  }
}

Task<> Supervisor::keep(std::list<Part>::iterator part) {
  Duration wait = waits_.first;
  for (;;) {
    const auto begin = Clock::now();
    auto outcome = co_await part->run(part->stop, part->state);
    part->state.serving = false;
    part->state.where.clear();
    if (!part->stop.requested()) {
      if (Clock::now() - begin > settled) wait = waits_.first;
      ++part->state.failures;
      part->state.why = outcome ? "ended by itself" : outcome.error().message();
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count();
      log::error(part->state.name + ": " + part->state.why + "; starting it again in " +
                 (ms < 1000 ? std::to_string(ms) + " ms" : std::to_string(ms / 1000) + " s"));
      co_await part->stop.wait(Clock::now() + wait);
      wait = std::min(2 * wait, waits_.longest);
    } else if (!outcome) {
      log::warning(part->state.name + ": " + outcome.error().message());
    }
    if (!part->stop.requested()) continue;
    if (!part->next) break;
    part->run = std::exchange(part->next, {});
    part->stop.requested_ = false;
    part->state.failures = 0;
    part->state.why.clear();
    wait = waits_.first;
  }
  all_.erase(part);
}

Task<> Supervisor::close() {
  closing_ = true;
  keep_only({});
  co_await parts_.join();
}

std::vector<Supervisor::State> Supervisor::states() const {
  std::vector<State> out;
  for (const auto& part : all_) out.push_back(part.state);
  return out;
}

}  // namespace lafs
