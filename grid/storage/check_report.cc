// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/check_report.h"

#include <fmt/format.h>

namespace lafs::grid {

std::set<std::string> CheckReport::servers_with_shares() const {
  std::set<std::string> out;
  for (auto& [number, servers] : shares) out.insert(servers.begin(), servers.end());
  return out;
}

std::string CheckReport::summary() const {
  if (literal) return "healthy: the cap holds the content";
  const auto on = servers_with_shares().size();
  auto out = fmt::format("{} of {} shares ({} needed) on {} server{}", shares.size(), n, k, on,
                         on == 1 ? "" : "s");
  if (!corrupt.empty()) out += fmt::format(", {} corrupt", corrupt.size());
  if (!incompatible.empty()) out += fmt::format(", {} of an unknown format", incompatible.size());
  if (recoverable_versions + unrecoverable_versions > 1) {
    out += fmt::format(", {} versions", recoverable_versions + unrecoverable_versions);
  }
  if (!recoverable()) return "cannot be read: " + out;
  if (!needs_repair()) return "healthy: " + out;
  if (healthy() && !happy()) {
    out += fmt::format("; {} distinct servers wanted, {} reached", wanted_happiness, happiness);
  }
  return "needs repair: " + out;
}

}  // namespace lafs::grid
