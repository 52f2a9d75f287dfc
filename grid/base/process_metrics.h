// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one registry of this process: what code anywhere counts into, without being handed one. It
// outlives everything. `lafs run`, `mount` and the servers show it to Prometheus.

#include <chrono>

#include "grid/base/metrics.h"

namespace lafs::metrics {

// With the usual figures of a process (memory, CPU, open files, lines logged) from the start.
Registry& of_process();

// Counts how often, and how long: for the coroutine or scope that owns it.
class Timed {
 public:
  explicit Timed(Histogram& histogram)
      : histogram_(histogram), since_(std::chrono::steady_clock::now()) {}
  ~Timed() {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - since_;
    histogram_.observe(took.count());
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  Histogram& histogram_;
  std::chrono::steady_clock::time_point since_;
};

}  // namespace lafs::metrics
