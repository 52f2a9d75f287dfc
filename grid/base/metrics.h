// SPDX-License-Identifier: Apache-2.0
#pragma once

// Figures about a running process, in the text form that Prometheus reads.
//
// A Registry is owned by whoever runs the process; the parts of the program register what they
// count and keep the reference. Counting is allowed on any thread, registering and text() on the
// I/O thread only. A figure is never taken away: what registers a question (ask()) outlives the
// last text(). Label values come from our own short lists, never from a peer, so the number of
// figures is bounded.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lafs::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Only ever grows.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

// How often a value was at most each of the bounds, and the sum of all values.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void observe(double value);

 private:
  friend class Registry;
  std::vector<double> bounds_;                         // ascending
  std::vector<std::atomic<std::uint64_t>> in_bucket_;  // one more than bounds: the rest
  std::atomic<std::uint64_t> sum_ = 0;                 // in millionths
};

// From 100 us to 10 s.
const std::vector<double>& latency_bounds();

class Registry {
 public:
  // The same name and labels give the same figure. Names: "lafs_<part>_<what>_<unit>", counters
  // with "_total" at the end.
  Counter& counter(const std::string& name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(const std::string& name, std::string_view help,
                       const std::vector<double>& bounds, const Labels& labels = {});
  // A gauge: `now` is asked whenever somebody looks.
  void ask(const std::string& name, std::string_view help, const Labels& labels,
           std::function<double()> now);

  // Everything, in text format 0.0.4.
  std::string text() const;

 private:
  struct Series {
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Histogram> histogram;
    std::function<double()> ask;
  };
  struct Family {
    std::string type;
    std::string help;
    std::map<std::string, Series> series;  // by printed labels
  };
  Series& series(const std::string& name, const char* type, std::string_view help,
                 const Labels& labels);

  std::map<std::string, Family> families_;
};

}  // namespace lafs::metrics
