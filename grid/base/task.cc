// SPDX-License-Identifier: Apache-2.0
#include "grid/base/task.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>
#include <list>

#include "grid/base/log.h"

namespace lafs {

namespace {

constexpr auto quiet = asio::as_tuple(asio::use_awaitable);

Task<> without_throwing(Task<> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(task);
}

void report_bug(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    log::error(std::string("bug: exception escaped from a task: ") + e.what());
  } catch (...) {
    log::error("bug: unknown exception escaped from a task");
  }
}

}  // namespace

Task<bool> stop_requested() {
  auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

Task<> sleep_for(Duration d) {
  const bool stop = co_await stop_requested();
  if (stop) co_return;
  asio::steady_timer timer(co_await asio::this_coro::executor, d);
  co_await timer.async_wait(quiet);
}

// Shared so that a waiter woken by ~Signal has something to return into.
struct Signal::State {
  explicit State(asio::any_io_executor e) : executor(std::move(e)) {}
  asio::any_io_executor executor;
  std::list<asio::steady_timer*> waiting;
};

Signal::Signal(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

Signal::~Signal() { notify(); }

Task<> Signal::wait(TimePoint deadline) {
  auto state = state_;
  const bool stop = co_await stop_requested();
  if (stop) co_return;
  asio::steady_timer timer(state->executor, deadline);
  auto here = state->waiting.insert(state->waiting.end(), &timer);
  co_await timer.async_wait(quiet);
  state->waiting.erase(here);
}

Task<> Signal::wait_shielded() {
  auto state = state_;
  asio::steady_timer timer(state->executor, TimePoint::max());
  auto here = state->waiting.insert(state->waiting.end(), &timer);
  // An empty slot: the cancellation of this task does not reach the timer.
  co_await timer.async_wait(asio::bind_cancellation_slot(asio::cancellation_slot(), quiet));
  state->waiting.erase(here);
}

void Signal::notify() {
  for (auto* timer : state_->waiting) timer->cancel();
}

struct TaskGroup::State {
  explicit State(asio::any_io_executor e) : executor(e), ended(e) {}
  asio::any_io_executor executor;
  Signal ended;
  std::list<asio::cancellation_signal> tasks;
};

TaskGroup::TaskGroup(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

TaskGroup::~TaskGroup() { assert(state_->tasks.empty() && "join() a TaskGroup before it ends"); }

void TaskGroup::spawn(Task<> task) {
  auto state = state_;
  auto here = state->tasks.emplace(state->tasks.end());
  asio::co_spawn(
      state->executor, without_throwing(std::move(task)),
      asio::bind_cancellation_slot(here->slot(), [state, here](std::exception_ptr error) {
        if (error) report_bug(error);
        state->tasks.erase(here);
        state->ended.notify();
      }));
}

std::size_t TaskGroup::running() const { return state_->tasks.size(); }

void TaskGroup::cancel() {
  // A task may end inside emit() and erase itself, hence the step before the call.
  for (auto it = state_->tasks.begin(); it != state_->tasks.end();) {
    auto here = it++;
    here->emit(asio::cancellation_type::terminal);
  }
}

Task<> TaskGroup::wait_one(TimePoint deadline) {
  if (running() == 0) co_return;
  co_await state_->ended.wait(deadline);
  const bool stop = co_await stop_requested();
  if (stop) co_await join();
}

Task<> TaskGroup::join() {
  bool stop = co_await stop_requested();
  while (running() > 0 && !stop) {
    co_await state_->ended.wait();
    stop = co_await stop_requested();
  }
  if (running() > 0) cancel();
  while (running() > 0) co_await state_->ended.wait_shielded();
}

Gate::~Gate() { assert(users_ == 0 && "close() a Gate before it ends"); }

std::optional<Gate::Pass> Gate::enter() {
  if (closed_) return std::nullopt;
  ++users_;
  return Pass(this);
}

void Gate::leave() {
  if (--users_ == 0) empty_.notify();
}

Task<> Gate::close() {
  closed_ = true;
  while (users_ > 0) co_await empty_.wait_shielded();
}

Task<Limiter::Permit> Limiter::acquire(std::uint64_t amount) {
  amount = std::min(amount, capacity_);
  const auto ticket = next_ticket_++;
  while (ticket != serving_ || free_ < amount) co_await changed_.wait_shielded();
  ++serving_;
  free_ -= amount;
  changed_.notify();  // the next in line may fit as well
  co_return Permit(this, amount);
}

void Limiter::release(std::uint64_t amount) {
  free_ += amount;
  changed_.notify();
}

namespace detail {

void run_to_end(std::function<Task<>(asio::any_io_executor)> start) {
  asio::io_context io;
  std::exception_ptr escaped;
  asio::co_spawn(io, without_throwing(start(io.get_executor())),
                 [&](std::exception_ptr error) { escaped = error; });
  io.run();
  if (escaped) std::rethrow_exception(escaped);
}

}  // namespace detail

}  // namespace lafs
