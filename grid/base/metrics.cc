// SPDX-License-Identifier: Apache-2.0
#include "grid/base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace lafs::metrics {

namespace {

// `k="v",k2="v2"`
std::string printed(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ',';
    out += key + "=\"";
    for (const char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      out += c == '\n' ? ' ' : c;
    }
    out += '"';
  }
  return out;
}

std::string sample(std::string_view name, std::string_view labels, auto value) {
  if (labels.empty()) return fmt::format("{} {}\n", name, value);
  return fmt::format("{}{{{}}} {}\n", name, labels, value);
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), in_bucket_(bounds_.size() + 1) {
  assert(std::ranges::is_sorted(bounds_));
}

void Histogram::observe(double value) {
  const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  in_bucket_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(static_cast<std::uint64_t>(std::max(0.0, value) * 1e6), std::memory_order_relaxed);
}

const std::vector<double>& latency_bounds() {
  static const std::vector<double> bounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                          0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                          1,      2.5,     5,      10};
  return bounds;
}

Registry::Series& Registry::series(const std::string& name, const char* type, std::string_view help,
                                   const Labels& labels) {
  auto& family = families_[name];
  assert(family.type.empty() || family.type == type);
  family.type = type;
  family.help = help;
  return family.series[printed(labels)];
}

Counter& Registry::counter(const std::string& name, std::string_view help, const Labels& labels) {
  auto& s = series(name, "counter", help, labels);
  if (!s.counter) s.counter = std::make_unique<Counter>();
  return *s.counter;
}

Histogram& Registry::histogram(const std::string& name, std::string_view help,
                               const std::vector<double>& bounds, const Labels& labels) {
  auto& s = series(name, "histogram", help, labels);
  if (!s.histogram) s.histogram = std::make_unique<Histogram>(bounds);
  return *s.histogram;
}

void Registry::ask(const std::string& name, std::string_view help, const Labels& labels,
                   std::function<double()> now) {
  series(name, "gauge", help, labels).ask = std::move(now);
}

std::string Registry::text() const {
  std::string out;
  for (const auto& [name, family] : families_) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.help, name, family.type);
    for (const auto& [labels, s] : family.series) {
      if (s.counter) out += sample(name, labels, s.counter->value());
      if (s.ask) out += sample(name, labels, s.ask());
      if (!s.histogram) continue;
      const auto& h = *s.histogram;
      const std::string before = labels.empty() ? "" : labels + ",";
      std::uint64_t count = 0;
      for (std::size_t i = 0; i < h.in_bucket_.size(); ++i) {
        count += h.in_bucket_[i].load(std::memory_order_relaxed);
        const auto bound = i < h.bounds_.size() ? fmt::format("{}", h.bounds_[i]) : "+Inf";
        out += sample(name + "_bucket", before + "le=\"" + bound + "\"", count);
      }
      out += sample(name + "_sum", labels,
                    static_cast<double>(h.sum_.load(std::memory_order_relaxed)) / 1e6);
      out += sample(name + "_count", labels, count);
    }
  }
  return out;
}

}  // namespace lafs::metrics
