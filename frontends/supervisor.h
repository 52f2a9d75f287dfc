// SPDX-License-Identifier: Apache-2.0
#pragma once

// Parts of one process that serve side by side: one that fails is started again after a while, and
// the others go on. Parts may come, go and be replaced while the process runs. I/O thread only.

#include <functional>
#include <list>
#include <string>
#include <vector>

#include "grid/base/task.h"

namespace lafs {

// Somebody wants a part to end.
class Stop {
 public:
  explicit Stop(asio::any_io_executor executor) : changed_(std::move(executor)) {}
  void request();
  bool requested() const { return requested_; }
  Task<> wait(TimePoint deadline = TimePoint::max());

 private:
  friend class Supervisor;
  Signal changed_;
  bool requested_ = false;
};

class Supervisor {
 public:
  struct State {
    std::string name;
    bool serving = false;
    std::string where;  // the addresses or the directory that it serves, for people
    unsigned failures = 0;
    std::string why;  // of the last failure
  };
  // Serves until `stop`, or returns why it cannot; sets `serving` (and `where`) once others can use
  // it. Called again after every failure.
  using Run = std::function<Task<Result<>>(Stop& stop, State& state)>;
  // How long to wait after a first failure in a row, and at most.
  struct Waits {
    Duration first = std::chrono::seconds(1), longest = std::chrono::minutes(1);
  };

  Supervisor(asio::any_io_executor executor, Waits waits);
  explicit Supervisor(asio::any_io_executor executor) : Supervisor(executor, Waits{}) {}

  // `settings`: what the part is made from. A part of that name with the same settings goes on as
  // it is; one with others ends first, and then `run` takes its place.
  void set(std::string name, std::string settings, Run run);
  // Ends the parts that are not among `names`.
  void keep_only(const std::vector<std::string>& names);
  // Ends all parts and waits for them. Once, before destruction.
  Task<> close();
  std::vector<State> states() const;

 private:
  struct Part {
    explicit Part(asio::any_io_executor executor) : stop(std::move(executor)) {}
    State state;
    std::string settings;
    Run run;
    Run next;  // takes its place when it has ended
    Stop stop;
  };
  Task<> keep(std::list<Part>::iterator part);

  asio::any_io_executor executor_;
  Waits waits_;
  bool closing_ = false;
  std::list<Part> all_;
  TaskGroup parts_;
};

}  // namespace lafs
