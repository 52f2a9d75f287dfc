// SPDX-License-Identifier: Apache-2.0
#pragma once

// Parts of one process that serve side by side: one that fails is started again after a while, and
// the others go on. I/O thread only.

#include <functional>
#include <list>
#include <string>
#include <vector>

#include "grid/base/task.h"

namespace lafs {

// Somebody wants the parts to end. Asked for once, for all of them.
class Stop {
 public:
  explicit Stop(asio::any_io_executor executor) : changed_(std::move(executor)) {}
  void request();
  bool requested() const { return requested_; }
  Task<> wait(TimePoint deadline = TimePoint::max());

 private:
  Signal changed_;
  bool requested_ = false;
};

class Supervisor {
 public:
  // Serves until `stop`, or returns why it cannot; sets `serving` once others can use it. Called
  // again after every failure.
  using Run = std::function<Task<Result<>>(Stop& stop, bool& serving)>;
  struct State {
    std::string name;
    bool serving = false;
    unsigned failures = 0;
    std::string why;  // of the last failure
  };

  Supervisor(asio::any_io_executor executor) : stop_(executor), parts_(executor) {}

  void add(std::string name, Run run);
  // Ends all parts and waits for them. Once, before destruction.
  Task<> close();
  std::vector<State> states() const;

 private:
  struct Part {
    State state;
    Run run;
  };
  Task<> keep(Part& part);

  Stop stop_;
  std::list<Part> all_;
  TaskGroup parts_;
};

}  // namespace lafs
