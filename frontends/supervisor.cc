// SPDX-License-Identifier: Apache-2.0
#include "frontends/supervisor.h"

#include "grid/base/log.h"

namespace lafs {

namespace {
constexpr Duration first_wait = std::chrono::seconds(1), longest_wait = std::chrono::minutes(1);
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

void Supervisor::add(std::string name, Run run) {
  Part part;
  part.state.name = std::move(name);
  part.run = std::move(run);
  all_.push_back(std::move(part));
  parts_.spawn(keep(all_.back()));
}

Task<> Supervisor::keep(Part& part) {
  Duration wait = first_wait;
  while (!stop_.requested()) {
    const auto begin = Clock::now();
    auto outcome = co_await part.run(stop_, part.state.serving);
    part.state.serving = false;
    if (stop_.requested()) break;
    if (Clock::now() - begin > settled) wait = first_wait;
    ++part.state.failures;
    part.state.why = outcome ? "ended by itself" : outcome.error().message();
    log::error(part.state.name + ": " + part.state.why + "; starting it again in " +
               std::to_string(std::chrono::duration_cast<std::chrono::seconds>(wait).count()) +
               " s");
    co_await stop_.wait(Clock::now() + wait);
    wait = std::min(2 * wait, longest_wait);
  }
}

Task<> Supervisor::close() {
  stop_.request();
  co_await parts_.join();
}

std::vector<Supervisor::State> Supervisor::states() const {
  std::vector<State> out;
  for (const auto& part : all_) out.push_back(part.state);
  return out;
}

}  // namespace lafs
