// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/runner.h"

#include <unistd.h>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <csignal>

namespace lafs::cli {

namespace {

class Signals {
 public:
  Signals(asio::io_context& context, TaskGroup& command)
      : set_(context, SIGINT, SIGTERM), command_(command) {
    wait();
  }
  void stop() { set_.cancel(); }
  int first() const { return first_; }

 private:
  void wait() {
    set_.async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      if (first_) ::_exit(128 + number);
      first_ = number;
      wait();
      command_.cancel();
    });
  }

  asio::signal_set set_;
  TaskGroup& command_;
  int first_ = 0;
};

Task<> command_task(Task<Result<Exit>> body, std::optional<Result<Exit>>& out) {
  out.emplace(co_await std::move(body));
}

Task<> end_with(TaskGroup& command, Signals& signals) {
  co_await command.join();
  signals.stop();
}

}  // namespace

Ended run_io(std::function<Task<Result<Exit>>(Io)> body) {
  asio::io_context context(1);
  Pool pool;
  std::optional<Result<Exit>> out;
  TaskGroup command(context.get_executor());
  TaskGroup watcher(context.get_executor());
  Signals signals(context, command);
  command.spawn(command_task(body(Io{context.get_executor(), pool}), out));
  watcher.spawn(end_with(command, signals));
  context.run();
  if (!out) out.emplace(fail(Errc::internal, "an exception escaped from the command"));
  return {std::move(*out), signals.first()};
}

Task<> wait_for_stop() {
  Signal never(co_await asio::this_coro::executor);
  bool stop = co_await stop_requested();
  while (!stop) {
    co_await never.wait();
    stop = co_await stop_requested();
  }
  co_await heard_stop();
}

Task<> heard_stop() {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
}

}  // namespace lafs::cli
