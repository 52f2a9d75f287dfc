// SPDX-License-Identifier: Apache-2.0
#pragma once

// Coroutines of the one I/O thread.
//
// A function that returns Task may suspend. Its arguments are taken by value; a reference or view
// is allowed when it outlives the task or when the task is awaited in the same full expression.
//
// Cancellation is a value here, never an exception: every coroutine is started through TaskGroup
// or run(), which turn Asio's throwing off. A leaf (a socket, a timer) that is cancelled ends early
// and its caller gets Errc::cancelled or Errc::timed_out.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "grid/base/result.h"

namespace lafs {

namespace asio = boost::asio;

template <class T = void>
using Task = asio::awaitable<T>;

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

// Ends after `d`, or early when this task is cancelled.
Task<> sleep_for(Duration d);

// True when this task has been asked to stop: long loops look at it between steps.
Task<bool> stop_requested();

// Something to wait for: notify() wakes everybody who waits at that moment. I/O thread only.
class Signal {
 public:
  explicit Signal(asio::any_io_executor executor);
  ~Signal();
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  // Returns when notified, at `deadline`, or when this task is cancelled.
  Task<> wait(TimePoint deadline = TimePoint::max());
  // Returns only when notified: for waits whose end is certain, and that must not be cut short.
  Task<> wait_shielded();
  void notify();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Owns coroutines running side by side. Whoever spawns here must join() before the group and
// anything its tasks refer to goes away; ~TaskGroup asserts it. I/O thread only.
class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  void spawn(Task<> task);
  std::size_t running() const;

  // Asks every running task to stop.
  void cancel();
  // Waits until one more task has ended, or `deadline`; returns at once when none is running. A
  // cancelled waiter passes the cancellation on to the tasks.
  Task<> wait_one(TimePoint deadline = TimePoint::max());
  // Waits for all. A cancelled waiter passes the cancellation on, and still waits for the end.
  Task<> join();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Counts users of a thing that is to be closed: close() lets no new user in and waits for the
// old ones to leave. I/O thread only.
class Gate {
 public:
  class [[nodiscard]] Pass {
   public:
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_) gate_->leave();
    }

   private:
    friend class Gate;
    explicit Pass(Gate* gate) : gate_(gate) {}
    Gate* gate_;
  };

  explicit Gate(asio::any_io_executor executor) : empty_(std::move(executor)) {}
  ~Gate();

  // Nothing once close() has been called.
  std::optional<Pass> enter();
  bool closed() const { return closed_; }
  std::size_t users() const { return users_; }
  Task<> close();

 private:
  void leave();

  Signal empty_;
  std::size_t users_ = 0;
  bool closed_ = false;
};

// A bound on something shared (requests in flight, bytes of memory). Waiters are served in order;
// one that asks for more than the whole capacity gets all of it. I/O thread only.
class Limiter {
 public:
  class [[nodiscard]] Permit {
   public:
    Permit(Permit&& other) noexcept
        : limiter_(std::exchange(other.limiter_, nullptr)), amount_(other.amount_) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit() {
      if (limiter_) limiter_->release(amount_);
    }

   private:
    friend class Limiter;
    Permit(Limiter* limiter, std::uint64_t amount) : limiter_(limiter), amount_(amount) {}
    Limiter* limiter_;
    std::uint64_t amount_;
  };

  Limiter(asio::any_io_executor executor, std::uint64_t capacity)
      : changed_(std::move(executor)), capacity_(capacity), free_(capacity) {}

  Task<Permit> acquire(std::uint64_t amount = 1);
  std::uint64_t available() const { return free_; }

 private:
  void release(std::uint64_t amount);

  Signal changed_;
  std::uint64_t capacity_;
  std::uint64_t free_;
  std::uint64_t next_ticket_ = 0;  // handed to the next who asks
  std::uint64_t serving_ = 0;      // whose turn it is
};

// Runs `task` and gives it `limit`: after that it is cancelled, waited for, and Errc::timed_out is
// returned. `what` names the operation in the error.
template <class T>
Task<Result<T>> within(Duration limit, std::string what, Task<Result<T>> task);

// Runs one task to its end on a fresh io_context and returns what it returned. For tests.
template <class T>
T run(Task<T> task);

}  // namespace lafs

#include "grid/base/task_inl.h"
