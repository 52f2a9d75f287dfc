// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the HTTP service counts: requests by endpoint and status, how long they took, bytes.

#include "grid/base/metrics.h"
#include "grid/server/client_report.h"
#include "grid/server/http_exchange.h"

namespace lafs::grid::storage {

// "read", "allocate", ...; "none" for a request that reached no endpoint.
std::string_view name_of(std::optional<Endpoint> endpoint);

class HttpFigures {
 public:
  explicit HttpFigures(metrics::Registry& registry);

  void answered(std::optional<Endpoint> endpoint, unsigned status, double seconds);
  void received(std::uint64_t bytes) { received_.add(bytes); }
  void sent(std::uint64_t bytes) { sent_.add(bytes); }
  void reported(const ClientReport& report);
  void connected() { connections_.add(); }
  void turned_away() { turned_away_.add(); }

 private:
  metrics::Registry& registry_;
  metrics::Counter& received_;
  metrics::Counter& sent_;
  metrics::Counter& connections_;
  metrics::Counter& turned_away_;
  std::map<std::pair<int, unsigned>, metrics::Counter*> requests_;
  std::map<int, metrics::Histogram*> latencies_;
};

}  // namespace lafs::grid::storage
