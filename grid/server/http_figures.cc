// SPDX-License-Identifier: Apache-2.0
#include "grid/server/http_figures.h"

namespace lafs::grid::storage {

namespace {
int key_of(std::optional<Endpoint> endpoint) { return endpoint ? static_cast<int>(*endpoint) : -1; }
}  // namespace

std::string_view name_of(std::optional<Endpoint> endpoint) {
  if (!endpoint) return "none";
  switch (*endpoint) {
    case Endpoint::version:
      return "version";
    case Endpoint::add_lease:
      return "add_lease";
    case Endpoint::allocate:
      return "allocate";
    case Endpoint::write:
      return "write";
    case Endpoint::abort:
      return "abort";
    case Endpoint::list:
      return "list";
    case Endpoint::read:
      return "read";
    case Endpoint::advise_corrupt:
      return "advise_corrupt";
    case Endpoint::read_test_write:
      return "read_test_write";
  }
  return "none";
}

HttpFigures::HttpFigures(metrics::Registry& registry)
    : registry_(registry),
      received_(registry.counter("lafs_storage_received_bytes_total", "Bytes of request bodies.")),
      sent_(registry.counter("lafs_storage_sent_bytes_total", "Bytes of reply bodies.")),
      connections_(registry.counter("lafs_storage_connections_total", "Connections accepted.")),
      turned_away_(registry.counter("lafs_storage_connections_refused_total",
                                    "Connections closed at once because there were too many.")) {}

void HttpFigures::reported(const ClientReport& report) {
  registry_.counter("lafs_storage_client_reports_total", "Clients that said how they fare.").add();
  for (const auto& [name, count] : report.errors) {
    registry_
        .counter("lafs_storage_client_errors_total",
                 "Requests to this server that failed, as its clients report them.",
                 {{"error", name}})
        .add(count);
  }
}

void HttpFigures::answered(std::optional<Endpoint> endpoint, unsigned status, double seconds) {
  const int key = key_of(endpoint);
  auto& requests = requests_[{key, status}];
  auto& latency = latencies_[key];
  const std::string name(name_of(endpoint));
  if (!requests) {
    requests = &registry_.counter("lafs_storage_requests_total", "Requests answered.",
                                  {{"endpoint", name}, {"status", std::to_string(status)}});
  }
  if (!latency) {
    latency = &registry_.histogram("lafs_storage_request_seconds",
                                   "From the head of a request to the end of its reply.",
                                   metrics::latency_bounds(), {{"endpoint", name}});
  }
  requests->add();
  latency->observe(seconds);
}

}  // namespace lafs::grid::storage
